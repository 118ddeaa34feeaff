# shellcheck shell=bash disable=SC2154 # the settings are up's
# Starts the database of Keystone and Glance, below $S, on a socket of its own only.
# Nothing is synced to the disk: these data need not survive a power cut.

# await NAME COMMAND...: waits until the command succeeds.
await() {
  local end=$((SECONDS + UP_TIMEOUT)) name=$1
  shift
  until "$@" >/dev/null 2>&1; do
    if ! alive db || [ $SECONDS -ge $end ]; then
      tail -n 20 "$S/log/db.out" >&2
      die "$name did not start"
    fi
    sleep 0.1
  done
}

postgres_up() {
  PGBIN=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1)
  # initdb and postgres refuse root; the machine may have no other locale.
  as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups
    env -i LC_ALL=C.UTF-8 "PATH=$PGBIN:/usr/bin:/bin")
  pg() { (cd / && "${as_postgres[@]}" "$@"); }
  pg test -x "$S/db" || die "PostgreSQL's user cannot reach $S: make the directories above it passable (chmod 711)"
  if [ ! -e "$S/db/pg/PG_VERSION" ]; then
    rm -rf "$S/db/pg"
    install -d -o postgres -m 700 "$S/db/pg"
    install -d -o postgres -m 755 "$S/db/sock"
    pg initdb -D "$S/db/pg" -U postgres -A trust -E UTF8 --no-sync >"$S/log/initdb.out" 2>&1 ||
      { cat "$S/log/initdb.out" >&2; die "initdb failed"; }
  fi
  if ! alive db; then
    # After a kill -9 its lock files may name a process that is gone, or a zombie.
    if [ -e "$S/db/pg/postmaster.pid" ] && [ -z "$(starttime "$(head -n 1 "$S/db/pg/postmaster.pid")")" ]; then
      rm -f "$S/db/pg/postmaster.pid" "$S"/db/sock/.s.PGSQL.*
    fi
    launch db "${as_postgres[@]}" postgres -D "$S/db/pg" -c listen_addresses= \
      -c unix_socket_directories="$S/db/sock" -c fsync=off -c max_connections=300 -c shared_buffers=64MB
  fi
  await PostgreSQL pg psql -h "$S/db/sock" -U postgres -qAtc 'select 1'
  local d
  for d in keystone glance; do
    pg psql -h "$S/db/sock" -U postgres -qAtc "select 1 from pg_database where datname='$d'" | grep -q 1 ||
      pg createdb -h "$S/db/sock" -U postgres "$d"
  done
}
postgres_url() { echo "postgresql+psycopg2://postgres@/$1?host=$S/db/sock"; }

mariadb_up() {
  my() { mariadb --no-defaults -uroot -S "$S/db/sock/s" "$@"; }
  if [ ! -d "$S/db/my/mysql" ]; then
    rm -rf "$S/db/my"
    install -d -o mysql -m 700 "$S/db/my"
    install -d -o mysql -m 755 "$S/db/sock"
    # TMPDIR may be another user's.
    env TMPDIR="$S/db/my" mariadb-install-db --no-defaults --user=mysql --datadir="$S/db/my" --skip-test-db \
      --auth-root-authentication-method=normal >"$S/log/initdb.out" 2>&1 ||
      { cat "$S/log/initdb.out" >&2; die "mariadb-install-db failed"; }
  fi
  if ! alive db; then
    # utf8mb3, as Glance's documents say: names have no character of four bytes.
    launch db /usr/sbin/mariadbd --no-defaults --user=mysql --datadir="$S/db/my" --tmpdir="$S/db/my" --skip-networking \
      --socket="$S/db/sock/s" --pid-file="$S/db/sock/pid" --innodb-flush-log-at-trx-commit=0 \
      --max-connections=300 --character-set-server=utf8mb3
  fi
  await MariaDB my -e 'select 1'
  local d
  for d in keystone glance; do my -e "create database if not exists $d character set utf8mb3"; done
}
mariadb_url() { echo "mysql+pymysql://root@localhost/$1?unix_socket=$S/db/sock/s&charset=utf8"; }
