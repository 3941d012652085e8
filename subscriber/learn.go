package subscriber

import (
	"context"
	"errors"

	"github.com/anonymous-media-library/aml/channel"
)

// Learn makes known what the releases of a channel say that are here, for who does
// not follow it: it opens what is sealed, as Unlock does, and has bodies that lie in
// blobs. No file is fetched. What cannot be had soon is left; what must not be in a
// body is refused for good, and is the error.
func (s *Subscriber) Learn(ctx context.Context, id channel.ID) error {
	f := &follower{cfg: s.cfg, order: Follow{Channel: id}, unlocker: newUnlocker(s.cfg, id)}
	refused, err := f.learn(ctx)
	errs := []error{err}
	for _, r := range refused {
		errs = append(errs, r.err)
	}
	return errors.Join(errs...)
}
