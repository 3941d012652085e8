package httpmirror

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/internal/crowd"
)

// visitor decides whether a web page asks that may not; a status of 0 is yes.
func (h *Handler) visitor(head http.Header, r *http.Request) (status int, why string) {
	any := slices.Contains(h.cfg.Origins, "*")
	if origin := r.Header.Get("Origin"); origin != "" && (any || slices.Contains(h.cfg.Origins, origin)) {
		head.Set("Access-Control-Allow-Origin", origin)
		head.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag")
		head.Set("Cross-Origin-Resource-Policy", "cross-origin")
		head.Add("Vary", "Origin")
		return 0, ""
	}
	if any {
		head.Set("Cross-Origin-Resource-Policy", "cross-origin")
		return 0, ""
	}
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return http.StatusForbidden, "other sites may not ask here"
	}
	// A page whose name resolves to this machine is of the same origin; by its
	// name one knows it.
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && isLoopback(local) && !h.knownHost(r.Host) {
		return http.StatusMisdirectedRequest, "this is not the host that was asked for"
	}
	return 0, ""
}

func isLoopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// knownHost reports whether a Host header names this machine: by an address, as
// localhost, or as the configuration says.
func (h *Handler) knownHost(host string) bool {
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	return slices.Contains(h.cfg.Hosts, name) || slices.Contains(h.cfg.Hosts, "*")
}

func visitorKey(r *http.Request) string {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return crowd.Key(net.TCPAddrFromAddrPort(ap))
}
