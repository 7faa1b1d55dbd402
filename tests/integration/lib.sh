# Sourced by the integration tests: expect's sentences, and a folder that goes away.
set -uo pipefail
bin=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/wardround.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0
out=$work/stdout
err=$work/stderr

# expect "a sentence" EXIT COMMAND...   the command's exit status is EXIT
expect() {
  local sentence=$1 want=$2 got=0
  shift 2
  "$@" >"$out" 2>"$err" || got=$?
  if [ "$got" -eq "$want" ]; then
    echo "ok: $sentence"
  else
    echo "FAILED: $sentence: exit $got, want $want: $*"
    sed 's/^/    /' "$err" "$out" | head -n 20
    failed=1
  fi
}

# says FILE TEXT   the last command wrote TEXT there
says() {
  if ! grep -qF -- "$2" "$1"; then
    echo "FAILED:   …and says: $2"
    sed 's/^/    /' "$1" | head -n 20
    failed=1
  fi
}

# json EXPRESSION   Python, with the last command's object as `o`, is true
json() {
  if ! python3 -c "import json,math,sys; o=json.load(open(sys.argv[1])); sys.exit(0 if ($1) else 1)" "$out"; then
    echo "FAILED:   …and the object has: $1"
    head -c 2000 "$out"
    failed=1
  fi
}
