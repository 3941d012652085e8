package node

import (
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// roomWait says until when a release that did not fit is not fetched again. News do not
// end that: what was fetched in vain would be so again and again.
type roomWait struct {
	until time.Time
	pause time.Duration
}

// tried notes what became of a release.
func (m *mirroring) tried(r catalog.Release, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch wait := m.noRoom[r.Position]; {
	case errors.Is(err, blobnet.ErrFull):
		wait.pause = min(max(2*wait.pause, firstMirrorRetry), lastMirrorRetry)
		wait.until = time.Now().Add(wait.pause)
		m.noRoom[r.Position] = wait
	case err == nil:
		delete(m.noRoom, r.Position)
	}
}

// waitsForRoom reports whether a release is not to be fetched yet.
func (m *mirroring) waitsForRoom(r catalog.Release) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.noRoom[r.Position].until)
}
