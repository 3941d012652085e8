package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
)

// The fork guard. A log whose key signs one number twice is forked, and frozen
// for everybody. What was given out is in the ledger; but a ledger may have
// been restored from a backup, and then it ends before what others have. So a
// second memory is compared with it, and what the two cannot vouch for is not
// signed until others were asked.

// ErrBehind: the ledger may end before what its log, or the root, has given
// out. Ask others what they have, and then Confirm.
var ErrBehind = errors.New("this home may lack what was published before")

// ErrLacks: the ledger certainly ends before what its log has given out, so that
// the next number is taken, whatever anybody says. Another key has to take the
// log's place if nobody has the rest. It wraps ErrBehind.
var ErrLacks error = lacks("this home lacks what it has published")

type lacks string

func (l lacks) Error() string { return string(l) }
func (lacks) Unwrap() error   { return ErrBehind }

// Given is how far a log was given out, or, with a zero key, the root.
type Given struct {
	Seq  uint64 // of the newest manifest, or the version; 0 for none
	Hash channel.Hash
	// Sure: nothing can have been given out after it by this home. A memory that
	// was copied, which is what restoring does, is sure of nothing.
	Sure bool
}

// Memory remembers beside the ledger what was given out. publisher/given's Book
// is one. What it never heard of is the zero Given. Give survives a power loss
// when it returns. Its methods may be called from many goroutines at once.
type Memory interface {
	Given(id channel.ID, key channel.PublicKey) Given
	Give(id channel.ID, key channel.PublicKey, seq uint64, hash channel.Hash) error
}

// theRoot stands for a key where a root is meant.
var theRoot channel.PublicKey

// doubt is why a log that ends here with seq, or a root of that version, may
// not be gone on with; nil if it may.
func (p *Publisher) doubt(id channel.ID, key channel.PublicKey, seq uint64, hash channel.Hash) error {
	if p.cfg.Memory == nil {
		return nil
	}
	what, end, certain := "release", "the log", ErrLacks
	if key == theRoot { // no other could take its place: the user may vouch that nobody has it
		what, end, certain = "root version", "what is known", ErrBehind
	}
	switch g := p.cfg.Memory.Given(id, key); {
	case g.Seq > seq:
		return fmt.Errorf("%w: %s %d was published from here, and %s ends at %d", certain, what, g.Seq, end, seq)
	case g.Seq == seq && seq > 0 && g.Hash != hash:
		return fmt.Errorf("%w: %s %d here is another than was published", certain, what, seq)
	case !g.Sure:
		return fmt.Errorf("%w: it is new here, was copied, or was restored from a backup", ErrBehind)
	}
	return nil
}

// give remembers what is on disk and about to be told. A memory that could not
// be written lags behind the ledger, which makes the guard weaker and nothing
// wrong: the release stands.
func (p *Publisher) give(id channel.ID, key channel.PublicKey, seq uint64, hash channel.Hash) {
	if p.cfg.Memory != nil {
		_ = p.cfg.Memory.Give(id, key, seq, hash)
	}
}

// Made remembers that a key was made just now, so that it has signed nothing in
// a channel.
func (p *Publisher) Made(id channel.ID, key channel.PublicKey) { p.give(id, key, 0, channel.Hash{}) }

// Doubt returns an error that wraps ErrBehind if the ledger may lack what a log
// has given out, or, with a zero key, a later root.
func (p *Publisher) Doubt(ctx context.Context, id channel.ID, key channel.PublicKey) error {
	seq, hash, err := p.newest(ctx, id, key)
	if err != nil {
		return err
	}
	return p.doubt(id, key, seq, hash)
}

// Confirm ends the doubt about a log, or with a zero key about the root, after
// others were asked what they have and the ledger took it in. What is known to
// be missing all the same gives ErrBehind, or channel.ErrChain where a head
// names it. With alone, nobody could be asked and the user vouches that nobody
// has more than is here; that a log lacks something (ErrLacks), and what a head
// names, is believed even then.
func (p *Publisher) Confirm(ctx context.Context, id channel.ID, key channel.PublicKey, alone bool) error {
	if p.cfg.Memory == nil {
		return nil
	}
	seq, hash, err := p.newest(ctx, id, key)
	if err != nil {
		return err
	}
	g := p.cfg.Memory.Given(id, key)
	less := g.Seq > seq || g.Seq == seq && seq > 0 && g.Hash != hash
	if err := p.doubt(id, key, seq, hash); err == nil || less && (!alone || errors.Is(err, ErrLacks)) {
		return err
	}
	if err := p.cfg.Memory.Give(id, key, seq, hash); err != nil {
		return fmt.Errorf("remembering what was published: %w", err)
	}
	return nil
}

// newest is where a log, or with a zero key the root, ends in the ledger. A
// head that names more gives channel.ErrChain.
func (p *Publisher) newest(ctx context.Context, id channel.ID, key channel.PublicKey) (uint64, channel.Hash, error) {
	info, err := p.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return 0, channel.Hash{}, err
	}
	if key == theRoot {
		if !info.HasRoot {
			return 0, channel.Hash{}, nil
		}
		payload, err := info.Root.Encode()
		return info.Root.Version, channel.HashPayload(payload), err
	}
	log := logOf(info, key)
	return log.Seq, log.Hash, behindClaim(log)
}
