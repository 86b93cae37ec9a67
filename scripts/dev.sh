#!/usr/bin/env bash
# Serves from dist/; rebuilds and restarts on every change. Ctrl-C ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'kill 0' EXIT
npm run --silent build
tsc -p tsconfig.build.json --outDir dist --incremental false --watch --preserveWatchOutput &
npm run --silent build:web -- --outdir=dist/web --watch=forever &
NODE_ENV=development node --watch --watch-preserve-output dist/cli.js serve
