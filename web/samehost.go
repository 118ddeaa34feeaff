package web

import (
	"net"
	"net/http"
	"strings"
)

// SameHost refuses, where only this host reaches the server, what does not name it: a
// page of the web whose name leads to 127.0.0.1 (DNS rebinding) could otherwise have the
// browser of somebody here read the answers for it. An answer stays out of other pages'
// reach in any case.
func SameHost(open bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		if !open && !namesLoopback(r.Host) {
			http.Error(w, "this address is only for its own host: ask for localhost, or 127.0.0.1", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func namesLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil { // it has no port
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
