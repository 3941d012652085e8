package feed

import (
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// Status is how far one log can be trusted to be current.
type Status struct {
	Publishes bool // its key may publish under the newest root
	Revoked   bool
	Fresh     bool // a head that has not expired confirms our newest manifest
	Behind    bool // a head names manifests that we miss
}

// Status judges a log at a time. A log is fresh while a signed head says that
// what we hold is the newest and nothing says otherwise: what is not fresh
// may have been withheld from us. Where the root has forked no log is: nobody
// can tell which history is the one.
func (s *State) Status(key channel.PublicKey, now time.Time) Status {
	var st Status
	if s.Root == nil {
		return st
	}
	log := s.Logs[key]
	p, ok := s.Root.Publisher(key)
	_, st.Revoked = s.Root.RevokedKey(key)
	st.Publishes = ok && p.Role == channel.RolePublish && !st.Revoked && !expired(p.Expires, now)
	st.Behind = log.Claim != nil && !st.Revoked
	st.Fresh = st.Publishes && !s.RootFork && log.Frozen == 0 && !st.Behind && !expired(s.Root.Expires, now) &&
		log.Head != nil && log.Head.FreshAt(now)
	return st
}
