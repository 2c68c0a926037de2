# A Postfix of its own, with the given smtpd options, in $work/postfix; nothing of the machine's own Postfix is touched.
# Usage: start_postfix PORT [-o option=value ...]
start_postfix() {
    local port=$1; shift
    local dir=$work/postfix
    mkdir -p "$dir/queue" "$dir/data"
    chmod 755 "$work" "$dir" "$dir/queue"
    chown postfix "$dir/data"
    cat >"$dir/main.cf" <<EOF
compatibility_level = 3.6
queue_directory = $dir/queue
data_directory = $dir/data
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = bench.test
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_process_limit = 200
maillog_file = $dir/log
maillog_file_prefixes = /tmp
EOF
    {
        echo "127.0.0.1:$port inet n - n - - smtpd $*"
        cat <<'EOF'
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
smtp unix - - n - - smtp
local unix - n n - - local
EOF
    } >"$dir/master.cf"
    postfix -c "$dir" start >"$dir/start.log" 2>&1 || { cat "$dir/start.log" "$dir/log" >&2; return 1; }
    await_port "$port"
}
