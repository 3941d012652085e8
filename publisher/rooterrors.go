package publisher

import (
	"errors"
	"fmt"
)

var (
	// ErrImpossible: no root can say what was asked for. It concerns the request:
	// nothing that is there is wrong.
	ErrImpossible = errors.New("no root can say that")

	// ErrUnchanged: the newest root says already what was asked for.
	ErrUnchanged = errors.New("nothing to change")

	// ErrNoRootKey: a key that is to be removed is no root key. It wraps
	// fs.ErrNotExist.
	ErrNoRootKey error = absent("no such root key in the channel")
)

// refusal is ErrImpossible, and says by itself why.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) Unwrap() error   { return ErrImpossible }

func impossible(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }
