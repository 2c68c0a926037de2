# A Dovecot of its own in $work/dovecot: a submission proxy in front of the sink, and SASL for Postfix on a socket of its own.
# It is tuned as its documentation says for many connections (login processes that serve more than one client), and caches no login.
# Usage: start_dovecot SUBMISSION-PORT SINK-PORT SASL-PORT {SCHEME}HASH ACCOUNTS (needs $work/tls.crt and tls.key)
start_dovecot() {
    local port=$1 sink=$2 sasl=$3 hash=$4 accounts=$5 dir=$work/dovecot
    mkdir -p "$dir/mail"
    chmod 755 "$work" "$dir"
    for n in $(seq 0 $((accounts - 1))); do echo "u$n@example.jp:$hash"; done >"$dir/users"
    chmod 644 "$dir/users"; chown nobody "$dir/mail"
    cat >"$dir/dovecot.conf" <<EOF
protocols = submission
base_dir = $dir/run
log_path = $dir/log
listen = 127.0.0.1
ssl = yes
ssl_cert = <$work/tls.crt
ssl_key = <$work/tls.key
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 0
auth_worker_max_count = 30
first_valid_uid = 1
mail_location = maildir:$dir/mail
mail_max_userip_connections = 0
submission_relay_host = 127.0.0.1
submission_relay_port = $sink
submission_relay_ssl = no
passdb {
  driver = passwd-file
  args = $dir/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$dir/mail
}
service submission-login {
  service_count = 0
  process_min_avail = $(nproc)
  client_limit = 1000
  chroot =
  inet_listener submission {
    port = $port
  }
}
service submission {
  process_limit = 200
  process_min_avail = 20
  client_limit = 1
  service_count = 0
}
service auth {
  vsz_limit = 2G
  inet_listener {
    port = $sasl
    address = 127.0.0.1
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
EOF
    dovecot -c "$dir/dovecot.conf" -F >"$dir/start.log" 2>&1 & children+=($!)
    await_port "$port" || { cat "$dir/start.log" "$dir/log" >&2; return 1; }
}
