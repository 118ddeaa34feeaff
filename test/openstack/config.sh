# shellcheck shell=bash disable=SC2154 # the settings are up's
# Writes the files that Keystone, Glance and their clients read, below $S.

# database NAME prints its URL as oslo.config reads it ($ begins a reference there).
database() {
  local url
  url=$("${OS_DB}_url" "$1")
  echo "${url//\$/\$\$}"
}

write_keystone() {
  # Without a cache every token check costs 250 ms of CPU. In memory 7 ms, but
  # coherent only while there is one process; else local to the request, 47 ms.
  local cache=dogpile.cache.memory
  [ "$KEYSTONE_WORKERS" = 1 ] || cache=dogpile.cache.null
  cat >"$S/etc/keystone/keystone.conf" <<END
[DEFAULT]
log_file = $S/log/keystone.log
[database]
connection = $(database keystone)
[token]
provider = fernet
expiration = $TOKEN_EXPIRY
[fernet_tokens]
key_repository = $S/keys/fernet
[fernet_receipts]
key_repository = $S/keys/fernet
[credential]
key_repository = $S/keys/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = $cache
[oslo_policy]
policy_dirs = $S/etc/keystone/policy.d
END
  write_uwsgi "$S/etc/keystone/uwsgi.ini" "$KEYSTONE_PORT" /usr/bin/keystone-wsgi-public "$KEYSTONE_WORKERS" 8
}

# write_uwsgi FILE PORT APPLICATION PROCESSES THREADS
write_uwsgi() {
  cat >"$1" <<END
[uwsgi]
plugins = python3
http-socket = $HOST:$2
wsgi-file = $3
master = true
processes = $4
threads = $5
enable-threads = true
lazy-apps = true
buffer-size = 65535
thunder-lock = true
no-orphans = true
die-on-term = true
add-header = Connection: close
chdir = $S
END
}

write_glance() {
  local backends='' stores name part
  if [ -n "$GLANCE_STORES" ]; then
    backends="enabled_backends = $GLANCE_STORES"
    stores="[glance_store]
default_backend = ${GLANCE_STORES%%:*}"
    IFS=, read -ra parts <<<"$GLANCE_STORES"
    for part in "${parts[@]}"; do
      name=${part%%:*}
      mkdir -p "$S/stores/$name"
      stores+="
[$name]
filesystem_store_datadir = $S/stores/$name"
    done
    # With several stores Glance needs its two reserved ones placed as well.
    stores+="
[os_glance_staging_store]
filesystem_store_datadir = $S/staging
[os_glance_tasks_store]
filesystem_store_datadir = $S/tasks"
  else # zeros are not written: a test's 10 GiB of them fit on any disk
    stores="[glance_store]
stores = file,http
default_store = file
filesystem_store_datadir = $S/images
filesystem_thin_provisioning = true"
  fi
  cat >"$S/etc/glance/glance-api.conf" <<END
[DEFAULT]
bind_host = $HOST
bind_port = $GLANCE_PORT
workers = $GLANCE_WORKERS
log_file = $S/log/glance.log
image_size_cap = $GLANCE_SIZE_CAP
limit_param_default = $GLANCE_PAGE
api_limit_max = $GLANCE_PAGE_MAX
image_cache_dir = $S/cache
node_staging_uri = file://$S/staging
worker_self_reference_url = $GLANCE_URL
metadata_source_path = /etc/glance/metadefs
$backends
[database]
connection = $(database glance)
[keystone_authtoken]
auth_type = password
auth_url = $KEYSTONE_URL
www_authenticate_uri = $KEYSTONE_URL
username = glance
password = $SERVICE_PASSWORD
project_name = service
user_domain_id = default
project_domain_id = default
region_name = RegionOne
token_cache_time = $TOKEN_CACHE
[paste_deploy]
flavor = keystone
config_file = /usr/share/glance-common/glance-api-paste.ini
[oslo_policy]
policy_dirs = $S/etc/glance/policy.d
[oslo_concurrency]
lock_path = $S/lock
[task]
work_dir = $S/tasks
$stores
END
  [ -z "$GLANCE_EXTRA" ] || cat "$GLANCE_EXTRA" >>"$S/etc/glance/glance-api.conf"
  cp /usr/share/glance-common/glance-api-paste.ini "$S/etc/glance/"
  # What Debian's own file for Glance behind uwsgi adds.
  write_uwsgi "$S/etc/glance/uwsgi.ini" "$GLANCE_PORT" /usr/bin/glance-wsgi-api "$GLANCE_WORKERS" 32
  cat >>"$S/etc/glance/uwsgi.ini" <<END
exit-on-reload = true
rem-header = Content-Length
socket-timeout = 10
http-auto-chunked = true
http-chunked-input = true
http-raw-body = true
wsgi-manage-chunked-input = true
END
}

write_clients() {
  {
    echo "clouds:"
    for user in admin demo demo2; do
      local password=$DEMO_PASSWORD
      [ $user != admin ] || password=$ADMIN_PASSWORD
      cat <<END
  $user:
    auth:
      auth_url: $KEYSTONE_URL
      username: $user
      password: $password
      project_name: $user
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
    identity_api_version: 3
    interface: public
END
    done
  } >"$S/clouds.yaml"
  cat >"$S/env" <<END
export OS_CLIENT_CONFIG_FILE='$S/clouds.yaml' no_proxy=127.0.0.1,localhost
KEYSTONE_URL=$KEYSTONE_URL
GLANCE_URL=$GLANCE_URL
END
}
