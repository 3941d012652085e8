package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
)

// Petname is what this node's user calls a channel. It is told to nobody.
type Petname struct {
	Name    string
	Channel channel.ID
	Address string // may hold a read key, so keep it from others
}

// ErrNameTaken: another channel has this petname.
var ErrNameTaken = errors.New("another channel has that name")

// SetPetname gives a channel a name, as one of several that it may have. It wraps
// ErrNameTaken unless replace is given.
func (c *Catalog) SetPetname(ctx context.Context, p Petname, replace bool) error {
	if p.Name == "" || p.Channel.IsZero() {
		return errors.New("naming a channel: want a name and a channel")
	}
	return c.update(ctx, "naming a channel", func(t *tx) error {
		n, err := t.exec(`INSERT INTO petnames (name, channel, address) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET channel = excluded.channel, address = excluded.address
			WHERE petnames.channel = excluded.channel OR ?`, p.Name, p.Channel[:], p.Address, replace)
		if err == nil && n == 0 {
			err = fmt.Errorf("%q: %w", p.Name, ErrNameTaken)
		}
		return err
	})
}

// DropPetname takes a name away. It wraps ErrUnknown if there is none.
func (c *Catalog) DropPetname(ctx context.Context, name string) error {
	return c.update(ctx, "forgetting a name", func(t *tx) error {
		n, err := t.exec("DELETE FROM petnames WHERE name = ?", name)
		if err == nil && n == 0 {
			err = fmt.Errorf("name %q: %w", name, ErrUnknown)
		}
		return err
	})
}

// Petnames returns all names in order, or the one that is given, if there is
// such.
func (c *Catalog) Petnames(ctx context.Context, only string) ([]Petname, error) {
	var out []Petname
	err := c.view(ctx, "reading names", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var p Petname
			err := scan(&p.Name, (*bytes32)(&p.Channel), &p.Address)
			out = append(out, p)
			return true, err
		}, "SELECT name, channel, address FROM petnames WHERE ? = '' OR name = ? ORDER BY name", only, only)
	})
	return out, err
}
