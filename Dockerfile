FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Source maps and types are a third of the size, and nothing reads them at run time.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' \) -delete

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY LICENSE tsconfig*.json ./
COPY scripts/build.js scripts/build.js
COPY src src
COPY web web
# The copies keep the modes of the checkout, which may be closed to the user `node`.
RUN npm run build && chmod -R a+rX LICENSE package.json dist web

FROM node:24-bookworm-slim
WORKDIR /app
# For `docker exec NAME oneloop check`.
RUN ln -s /app/dist/cli.js /usr/local/bin/oneloop
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/web/assets web/assets
COPY --from=build /app/web/templates web/templates
COPY --from=build /app/dist dist

# On the default, loopback, no published port would reach the server.
# The heap stays below the 256 MiB of compose.yaml: sockets' buffers live beside it.
# 48 MiB of it for the young generation (three semi-spaces): with 24 MiB a request cost a third more.
ENV NODE_ENV=production HOST=:: NODE_OPTIONS="--max-old-space-size=128 --max-semi-space-size=16"
USER node
EXPOSE 5001 8080 9999 12121 12345 12346 50675 65432 12345/udp 12347/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["node", "/app/dist/cli.js", "check"]
ENTRYPOINT ["node", "/app/dist/cli.js"]
CMD ["serve"]

# Last, so that a new version leaves the layers above in the cache.
ARG VERSION=dev
LABEL org.opencontainers.image.title="oneloop" \
  org.opencontainers.image.description="HTTP, WebSocket, raw TCP and raw UDP from one Node.js process, one event loop, one thread" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="$VERSION"
