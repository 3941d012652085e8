package channel

import (
	"fmt"
	"time"
)

// Class says who may read the bodies of a channel. It is fixed by version 1 of
// the root.
type Class string

// The classes.
const (
	Public  Class = "public"  // bodies are in clear
	Private Class = "private" // bodies are sealed with the epoch's read key
)

func (c Class) check() error {
	if c != Public && c != Private {
		return fmt.Errorf("%w: class %q is neither public nor private", ErrMalformed, clip(string(c)))
	}
	return nil
}

// Kind says what a stale head means.
type Kind string

// The kinds.
const (
	Media  Kind = "media"  // what is stale still plays
	Update Kind = "update" // what is stale ought not to be installed
)

func (k Kind) check() error {
	if k != Media && k != Update {
		return fmt.Errorf("%w: kind %q is neither media nor update", ErrMalformed, clip(string(k)))
	}
	return nil
}

// HeadLife is how long a publisher lets a head live unless told otherwise: a
// day for updates, two weeks for media.
func (k Kind) HeadLife() time.Duration {
	if k == Update {
		return 24 * time.Hour
	}
	return 14 * 24 * time.Hour
}

// Role says what a key in a root's list of publishers may sign.
type Role string

// The roles.
const (
	RolePublish Role = "publish" // manifests and heads of its own log
	RoleHead    Role = "head"    // heads of any publisher's log, nothing else
)

func (r Role) check() error {
	if r != RolePublish && r != RoleHead {
		return fmt.Errorf("%w: role %q is neither publish nor head", ErrMalformed, clip(string(r)))
	}
	return nil
}

// clip shortens foreign text for an error message.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
