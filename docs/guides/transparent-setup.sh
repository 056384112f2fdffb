#!/bin/sh
# Sends TCP connections to a flowgate in mode `transparent`, for IPv4 and IPv6, and undoes it again. See transparent.md.
#
#   transparent-setup.sh up   redirect INTERFACE [PORT]   a gateway: what comes in at INTERFACE (NAT)
#   transparent-setup.sh up   tproxy   INTERFACE [PORT]   a gateway: the same without NAT
#   transparent-setup.sh up   machine  USER      [PORT]   this machine: what anybody but USER sends
#   transparent-setup.sh down redirect|tproxy|machine     undo
#
# PORT is where flowgate listens (8080). PORTS in the environment are those taken, with commas (80,443).
# Run as root. All rules stand in chains of their own, named FLOWGATE, so that undoing leaves other rules alone.
# Forwarding is switched on for a gateway, and ICMP redirects off; `down` leaves both, since others may need them.
set -eu

usage() {
    sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -ge 2 ] || usage
action=$1 kind=$2 whom=${3:-} port=${4:-8080}
ports=${PORTS:-80,443}
# What marks packets for TPROXY, and the routing table that keeps them on this machine.
mark=0x1f table=131

both() {
    iptables -w "$@"
    ip6tables -w "$@"
}

# Removes a chain and the jump to it, if they are there.
remove() { # TABLE FROM
    for command in iptables ip6tables; do
        while $command -w -t "$1" -D "$2" -j FLOWGATE 2>/dev/null; do :; done
        $command -w -t "$1" -F FLOWGATE 2>/dev/null || true
        $command -w -t "$1" -X FLOWGATE 2>/dev/null || true
    done
}

forward() {
    sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    # A gateway on the clients' own network would tell them of a shorter way around itself.
    sysctl -q -w net.ipv4.conf.all.send_redirects=0 "net.ipv4.conf.$whom.send_redirects=0"
}

down() {
    case $kind in
        redirect) remove nat PREROUTING ;;
        machine) remove nat OUTPUT ;;
        tproxy)
            remove mangle PREROUTING
            for family in -4 -6; do
                while ip $family rule del fwmark $mark lookup $table 2>/dev/null; do :; done
                ip $family route flush table $table 2>/dev/null || true
            done
            ;;
        *) usage ;;
    esac
}

up() {
    [ -n "$whom" ] || usage
    down
    case $kind in
        redirect)
            forward
            both -t nat -N FLOWGATE
            both -t nat -A FLOWGATE -i "$whom" -p tcp -m multiport --dports "$ports" -j REDIRECT --to-ports "$port"
            both -t nat -A PREROUTING -j FLOWGATE
            ;;
        tproxy)
            forward
            for family in -4 -6; do
                ip $family rule add fwmark $mark lookup $table
                ip $family route add local default dev lo table $table
            done
            both -t mangle -N FLOWGATE
            # Connections to the gateway itself are its own.
            both -t mangle -A FLOWGATE -m addrtype --dst-type LOCAL -j RETURN
            both -t mangle -A FLOWGATE -i "$whom" -p tcp -m multiport --dports "$ports" \
                -j TPROXY --on-port "$port" --tproxy-mark $mark
            both -t mangle -A PREROUTING -j FLOWGATE
            ;;
        machine)
            both -t nat -N FLOWGATE
            # flowgate's own connections must not come back to it.
            both -t nat -A FLOWGATE -m owner --uid-owner "$whom" -j RETURN
            both -t nat -A FLOWGATE -p tcp -m multiport --dports "$ports" -j REDIRECT --to-ports "$port"
            both -t nat -A OUTPUT -j FLOWGATE
            ;;
        *) usage ;;
    esac
}

case $action in
    up) up ;;
    down) down ;;
    *) usage ;;
esac
