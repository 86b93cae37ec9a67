#!/usr/bin/env bash
# Builds the image, checks its contents, runs it locked down, checks its services and stops it.
#
#   bash scripts/container.sh CONTAINER_TOOLS_DIR
#
# The folder holds `local-base`, `build` and `run`.
set -euo pipefail
tools=$(cd "${1:?usage: container.sh CONTAINER_TOOLS_DIR}" && pwd)
cd "$(dirname "$0")/.."

image=oneloop:ci
name=oneloop-ci-$$
passed=0
failed=0

pod () { STORAGE_DRIVER=overlay podman --cgroup-manager=cgroupfs "$@"; }

# check WHAT COMMAND...: shows the command's output only when it fails.
check () {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    last=ok
    echo "ok - $what"
    passed=$((passed + 1))
  else
    last='not ok'
    echo "not ok - $what"
    tail -n 30 <<<"$output" | sed 's/^/  /'
    failed=$((failed + 1))
  fi
}

# Exits if the last check has failed: no later check could pass.
needed () { [ "$last" = ok ] || exit 1; }

finish () {
  # An early exit is a failure, even if every check so far has passed.
  [ "$?" = 0 ] || [ "$failed" != 0 ] || failed=1
  pod rm -f "$name" >/dev/null 2>&1 || true
  echo "container: $passed passed, $failed failed"
  [ "$failed" = 0 ] || exit 1
}
trap finish EXIT

version=$(node -p 'require("./package.json").version')
[ -f dist/cli.js ] || npm run --silent build >&2

check 'the base image is here' bash "$tools/local-base"
needed
# Only the docker format keeps the health check.
check 'the image builds' bash "$tools/build" . "$image" --format docker --build-arg "VERSION=$version"
needed

config () { pod image inspect "$image" --format "{{json .$1}}"; }
inside () { bash "$tools/run" --rm --no-healthcheck --entrypoint node "$image" --input-type=module -e "$1"; }

check 'the image holds the program and nothing else' inside '
  import { globSync, readdirSync } from "node:fs"
  import assert from "node:assert"
  assert.deepEqual(readdirSync("/app").sort(), ["LICENSE", "dist", "node_modules", "package.json", "web"])
  assert.deepEqual(globSync("/app/{dist,web}/**/{*.ts,*.map,test,tests,*.test.*}"), [])
  assert.notEqual(globSync("/app/dist/**/*.js").length, 0)'
check 'the image holds no development dependency' inside '
  import { existsSync, readFileSync } from "node:fs"
  import assert from "node:assert"
  const { dependencies, devDependencies } = JSON.parse(readFileSync("/app/package.json"))
  const isThere = (name) => existsSync(`/app/node_modules/${name}`)
  assert.deepEqual(Object.keys(dependencies).filter((name) => !isThere(name)), [])
  assert.deepEqual(Object.keys(devDependencies).filter(isThere), [])'

is_labelled () { config Config.Labels | grep -F "\"org.opencontainers.image.version\":\"$version\""; }
check "the image is labelled with version $version" is_labelled

exposed_ports=$(config Config.ExposedPorts | node -p 'Object.keys(JSON.parse(fs.readFileSync(0))).sort().join("\n")')
default_ports () {
  inside '
    import { settings } from "/app/dist/config/settings.js"
    import { rawServices } from "/app/dist/sockets/index.js"
    const http = `${settings.HTTP_PORT.default}/tcp`
    console.log([http, ...rawServices.flatMap(({ ports, transport }) => ports.map((port) => `${port}/${transport}`))].sort().join("\n"))'
}
published_ports () {
  node -p 'fs.readFileSync("compose.yaml", "utf8").match(/(?<="(\d+):)\1[^"]*/g).map((port) => /udp/.test(port) ? port : `${port}/tcp`).sort().join("\n")'
}
check 'the image exposes every default port' diff <(default_ports) <(echo "$exposed_ports")
check 'the compose file publishes every port of the image' diff <(echo "$exposed_ports") <(published_ports)

# The container shares the network of this machine, where the default ports may be in use.
# The HTTP port must be known in advance: the health check reads it from the environment.
port=$(node -e 'const server = net.createServer().listen(0, () => { console.log(server.address().port); server.close() })')
free=(-e "HTTP_PORT=$port")
variables=$(inside '
  import { settings } from "/app/dist/config/settings.js"
  console.log(Object.keys(settings).filter((name) => name.endsWith("_PORT") && name !== "HTTP_PORT").join(" "))')
for variable in $variables; do free+=(-e "$variable=0"); done

check 'the container starts, read-only and without capabilities' \
  bash "$tools/run" -d --name "$name" --read-only --cap-drop=ALL "${free[@]}" "$image"
needed

is_ready () {
  node --input-type=module -e '
    import { setTimeout } from "node:timers/promises"
    for (const end = Date.now() + 20_000; Date.now() < end; await setTimeout(100)) {
      if (await fetch(process.argv[1]).then(({ ok }) => ok, () => false)) process.exit(0)
    }
    process.exit(1)' "http://127.0.0.1:$port/readyz" || { pod logs "$name"; return 1; }
}
check 'it is ready within 20 seconds' is_ready
needed

check 'oneloop check passes inside' pod exec "$name" oneloop check
check 'oneloop check passes from outside over IPv4' node dist/cli.js check "127.0.0.1:$port"
check 'oneloop check passes from outside over IPv6' node dist/cli.js check "[::1]:$port"
check 'the image runs a client command too' bash "$tools/run" --rm --read-only --cap-drop=ALL "$image" check "127.0.0.1:$port"
check 'the health check of the image passes' pod healthcheck run "$name"

is_node_user () { pod exec "$name" grep -E '^Uid:(\s+1000){4}$' /proc/1/status; }
check 'the process runs as uid 1000' is_node_user
# Tested as root and by the bounding set: a plain user has no rights in a writable container either.
is_read_only () { { pod exec -u 0 "$name" touch /app/file 2>&1 || true; } | grep 'Read-only file system'; }
is_without_capabilities () { pod exec "$name" grep -E '^CapBnd:\s+0+$' /proc/1/status; }
check 'the root file system is read-only' is_read_only
check 'no capability is left' is_without_capabilities

began=$(date +%s%N)
check 'it stops' pod stop -t 10 "$name"
took=$((($(date +%s%N) - began) / 1000000))
exit_code () { pod inspect "$name" --format '{{.State.ExitCode}}'; }
check "its exit code is 0 (was $(exit_code))" test "$(exit_code)" = 0
check "it stops in under 2 seconds (took $took ms)" test "$took" -lt 2000

is_json_lines () {
  pod logs "$name" 2>&1 | node -e '
    const lines = fs.readFileSync(0, "utf8").trimEnd().split("\n")
    for (const line of lines) if (typeof JSON.parse(line) !== "object") throw new Error(line)'
}
check 'its log is JSON lines only' is_json_lines
