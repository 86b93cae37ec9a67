#!/usr/bin/env bash
# Packs the package as for publishing, checks its contents, and runs it with npx from an empty folder.
set -euo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
check () {
  local what=$1
  shift
  if "$@"; then
    echo "ok - $what"
    passed=$((passed + 1))
  else
    echo "not ok - $what"
    failed=$((failed + 1))
  fi
}

folder=$(mktemp -d)
server=
finish () {
  [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$folder"
  echo "package: $passed passed, $failed failed"
  [ "$failed" = 0 ] || exit 1
}
trap finish EXIT

tarball=$folder/$(npm pack --silent --pack-destination "$folder")
others () { tar -tzf "$tarball" | grep -vE '^package/(dist/.*\.js|dist/web/style\.css|web/(assets|templates)/[^/]+|README\.md|LICENSE|package\.json)$'; }
holds () { tar -tzf "$tarball" | grep -x "package/$1" >/dev/null; }
check 'it holds dist, web, README, licence, and nothing else' test -z "$(others)"
for file in dist/cli.js dist/web/page.js dist/web/style.css web/templates/page.eta web/assets/icon.svg README.md LICENSE; do check "it holds $file" holds "$file"; done

mkdir "$folder/empty"
cd "$folder/empty"
# HTTP takes a free port, which the log names.
HTTP_PORT=0 TIME_PORT=off ECHO_PORT=off ECHO_ONCE_PORT=off GREETING_PORT=off EXCHANGE_PORT=off SINK_PORT=off \
  LISTENER_PORT=off UDP_ECHO_PORT=off npx --yes --package="$tarball" oneloop >"$folder/log" 2>&1 &
server=$!
port=
for _ in $(seq 300); do
  port=$(sed -nE 's/.*"service":"http".*"port":([0-9]+).*"msg":"listening".*/\1/p' "$folder/log" | head -n 1)
  [ -z "$port" ] || break
  sleep 0.2
done
served () { curl -fsS "http://127.0.0.1:$port/" | grep "Welcome to the Tornado framework" >/dev/null; }
check 'npx oneloop from the tarball, in an empty folder, serves the page' served
scripted () { curl -fsS "http://127.0.0.1:$port/assets/page.js" | grep ws/loop >/dev/null; }
check 'and its script' scripted
kill -TERM "$server"
wait "$server" || true
server=
stopped () {
  for _ in $(seq 50); do
    grep -q '"msg":"stopped"' "$folder/log" && return
    sleep 0.1
  done
  return 1
}
check 'and it ends with npx' stopped
