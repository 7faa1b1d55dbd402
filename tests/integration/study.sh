# Sourced after lib.sh by the tests that run a whole study as separate programs on loopback.

sites=(north east south west)

# generated DIR   four hospitals' files in DIR/<site>, and DIR/cohort.yaml over all of them for the
# simulator. Small and made of nothing: any machine has them.
generated() {
  python3 - "$1" "${sites[@]}" <<'PY'
import os, random, sys
root, sites = sys.argv[1], sys.argv[2:]
head = """separator: ","
header: true
patient: {column: patient, rows: one}
site: {from: file}
missing: [""]
label: {column: died, positive: [1], negative: [0]}
features:
  - {name: age, type: continuous, unit: years, range: [18, 100]}
  - {name: lactate, type: continuous, unit: mmol/l, range: [0.2, 15]}
  - {name: smoker, type: binary}
  - {name: ward, type: categorical, categories: [a, b, c]}
"""
for k, site in enumerate(sites):
    rng = random.Random(1000 + k)
    os.makedirs(f"{root}/{site}", exist_ok=True)
    with open(f"{root}/{site}/patients.csv", "w") as f:
        f.write("patient,age,lactate,smoker,ward,died\n")
        for i in range(70 + 10 * k):
            age, sick = rng.gauss(60, 15), rng.gauss(0, 1)
            died = int(rng.random() < 1 / (1 + 2.718 ** -(0.05 * (age - 60) + sick + 0.2 * k - 0.5)))
            lactate = "" if rng.random() < 0.2 else f"{2.0 * 2.718 ** (0.5 * sick):.2f}"
            f.write(f"{site}-{i:03d},{min(max(age, 18), 100):.1f},{lactate},{rng.randrange(2)},{rng.choice('abc')},{died}\n")
    with open(f"{root}/{site}/cohort.yaml", "w") as f:
        f.write(f"cohort: {site}\nfiles:\n  - {{path: patients.csv, site: {site}}}\n" + head)
with open(f"{root}/cohort.yaml", "w") as f:
    f.write("cohort: all\nfiles:\n" + "".join(f"  - {{path: {s}/patients.csv, site: {s}}}\n" for s in sites) + head)
PY
}

# study_file PATH NAME ROUNDS STEPS NOISE EPSILON
study_file() {
  {
    echo "study: $2"
    echo "cohort: cohort.yaml"
    echo "rounds: $3"
    echo "quorum: 4"
    echo "min_sites: 4"
    echo "join_deadline_s: 120"
    echo "round_deadline_s: 120"
    echo "model: {name: logistic}"
    echo "local: {rate: 1.0, steps: $4, physical_batch: 16}" # several: there is work for two threads
    echo "server: {average_iterates: true}"
    if [ "$5" = none ]; then
      echo "privacy: {noise: none, epsilon: inf, clip: 1.0, sample_rate: 0.5}"
    else
      echo "privacy: {noise: site, epsilon: $6, delta: 1.0e-3, clip: 1.0, sample_rate: 0.5}"
    fi
    echo "sites:"
    for s in "${sites[@]}"; do echo "  - {name: $s, nominal: 80}"; done
  } >"$1"
}

fingerprint() { sed -n 's/^fingerprint: *"\{0,1\}\([0-9-]*\)"\{0,1\}.*/\1/p' "$1"; }

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

# federation DIR   keys, cards, trust and imports for the generated sites in DIR; sets `port`
federation() {
  local dir=$1 s
  port=$(free_port)
  "$bin/wardround-aggregator" init "$dir/coordinator" --name coordinator --address "tcp://127.0.0.1:$port" >>"$dir/setup.log" 2>&1 || return 1
  for s in "${sites[@]}"; do
    cat >"$dir/$s/site.yaml" <<YAML
site: $s
policy: {max_epsilon_per_study: ${MAX_EPSILON:-inf}, max_epsilon_total: ${MAX_EPSILON:-inf}, max_delta_per_study: 1.0e-3, min_patients: 30, min_sites: 3}
auto_approve:
  - {coordinator: coordinator, max_epsilon: ${MAX_EPSILON:-inf}}
YAML
    [ "$s" != "${sites[0]}" ] || echo "threads: 2" >>"$dir/$s/site.yaml" # inside the sandbox; the bytes are the same
    {
      "$bin/wardround-agent" init "$dir/$s" &&
        "$bin/wardround-aggregator" enrol "$dir/coordinator" "$dir/$s/$s.card" --fingerprint "$(fingerprint "$dir/$s/$s.card")" &&
        "$bin/wardround-agent" trust "$dir/$s" "$dir/coordinator/coordinator.card" --fingerprint "$(fingerprint "$dir/coordinator/coordinator.card")" &&
        "$bin/wardround-agent" import "$dir/$s"
    } >>"$dir/setup.log" 2>&1 || { cat "$dir/setup.log"; return 1; }
  done
}

declare -A pid_of=()

start_aggregator() { # DIR STUDY
  "$bin/wardround-aggregator" run "$1/coordinator" --study "$2" >>"$1/coordinator/out" 2>>"$1/coordinator/log" &
  pid_of[aggregator]=$!
}

watched= # the site whose people sit before a terminal
start_agent() { # DIR SITE
  local before=()
  [ "$2" != "$watched" ] ||
    before=(python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))')
  "${before[@]}" "$bin/wardround-agent" run "$1/$2" --once >>"$1/$2/out" 2>>"$1/$2/log" </dev/null &
  pid_of[$2]=$!
}

start_agents() { # DIR
  local s
  for s in "${sites[@]}"; do start_agent "$1" "$s"; done
}

# until_true SECONDS COMMAND...   polls; fails when the time is over
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# await WHO SECONDS   its exit status; 99 if it does not end in time (and is killed)
await() {
  local pid=${pid_of[$1]}
  until_true "$2" gone "$pid" || { kill -9 "$pid"; wait "$pid" 2>/dev/null; return 99; }
  wait "$pid" 2>/dev/null
}

stop_all() {
  local who
  for who in "${!pid_of[@]}"; do kill "${pid_of[$who]}" 2>/dev/null; done
  for who in "${!pid_of[@]}"; do
    until_true 15 gone "${pid_of[$who]}" || kill -9 "${pid_of[$who]}" 2>/dev/null
    wait "${pid_of[$who]}" 2>/dev/null
  done
  pid_of=()
}

show_logs() { # DIR
  local f
  for f in "$1"/coordinator/{log,out} "$1"/*/log; do
    [ -f "$f" ] && { echo "---- $f"; tail -n 12 "$f"; }
  done
}

# study_runs DIR STUDY   from start to end, everybody successful
study_runs() {
  local s result=0
  start_aggregator "$1" "$2"
  start_agents "$1"
  await aggregator 120 || result=$?
  for s in "${sites[@]}"; do await "$s" 30 || result=$?; done
  pid_of=()
  [ "$result" -eq 0 ] || show_logs "$1"
  return "$result"
}

# The newest gateway or trainer of a site, as its supervisor's log says.
process_of() { # DIR SITE gateway|trainer
  sed -n "s/.*agent_started.*$3=\([0-9]*\).*/\1/p" "$1/$2/log" | tail -n 1
}

# kill_at_random DIR STUDY N   of aggregator, gateways and trainers, while the study runs
kill_at_random() {
  local dir=$1 study=$2 left=$3 pick who pid
  kills=0
  while [ "$left" -gt 0 ] && ! grep -q "is done" "$dir/coordinator/out" 2>/dev/null; do
    sleep "0.$(printf %03d $((RANDOM % 200 + 20)))"
    pick=$((RANDOM % 9))
    who=${sites[$((pick % 4))]}
    if [ "$pick" -eq 8 ]; then
      if gone "${pid_of[aggregator]}"; then break; fi
      kill -9 "${pid_of[aggregator]}" 2>/dev/null || true
      wait "${pid_of[aggregator]}" 2>/dev/null
      start_aggregator "$dir" "$study"
    else
      pid=$(process_of "$dir" "$who" "$([ "$pick" -lt 4 ] && echo gateway || echo trainer)")
      [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null || continue
    fi
    left=$((left - 1))
    kills=$((kills + 1))
  done
  echo "killed $kills times"
}

# disturbed DIR STUDY KILLS   everybody ends well all the same
disturbed() {
  local s result=0
  start_aggregator "$1" "$2"
  start_agents "$1"
  kill_at_random "$1" "$2" "$3"
  await aggregator 200 || result=$?
  for s in "${sites[@]}"; do await "$s" 60 || result=$?; done
  pid_of=()
  [ "$result" -eq 0 ] || show_logs "$1"
  return "$result"
}

trap 'stop_all; rm -rf "$work"' EXIT
