package catalog

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// Glimpse is by what a person can name a channel. One of Petname and Topic may be
// there; else it is named by its address.
type Glimpse struct {
	Channel channel.ID
	Petname string
	Topic   string // under which this home founded it
	Title   string
}

// maxGlimpses bounds what is looked at of each kind.
const maxGlimpses = 500

// Glance reads names of channels from a catalogue's file without opening it: see
// sqlite.Glance. It is for completion in a shell, where an error means no hints.
func Glance(ctx context.Context, path string) ([]Glimpse, error) {
	if err := checkHeader(path); err != nil {
		return nil, err
	}
	db, err := sqlite.Glance(path)
	if err != nil {
		return nil, fmt.Errorf("looking at the catalogue: %w", err)
	}
	defer db.Close() // only read from
	var out []Glimpse
	for _, query := range []string{
		"SELECT p.channel, p.name, '', coalesce(c.title, '') FROM petnames p LEFT JOIN channels c ON c.id = p.channel ORDER BY p.name LIMIT ?",
		"SELECT o.channel, '', min(o.topic), coalesce(c.title, '') FROM owns o LEFT JOIN channels c ON c.id = o.channel GROUP BY o.channel ORDER BY 3 LIMIT ?",
		"SELECT id, '', '', coalesce(title, '') FROM channels ORDER BY reason DESC, no LIMIT ?",
	} {
		rows, err := db.QueryContext(ctx, query, maxGlimpses)
		if err != nil {
			return out, fmt.Errorf("looking at the catalogue: %w", err)
		}
		for rows.Next() {
			var g Glimpse
			if err = rows.Scan((*bytes32)(&g.Channel), &g.Petname, &g.Topic, &g.Title); err != nil {
				break
			}
			out = append(out, g)
		}
		if err == nil {
			err = rows.Err()
		}
		_ = rows.Close()
		if err != nil {
			return out, fmt.Errorf("looking at the catalogue: %w", err)
		}
	}
	return out, nil
}
