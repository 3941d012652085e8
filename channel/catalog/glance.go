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
	Topic   string // of the newest root of a channel of this home's
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
	const title = "coalesce(" + shownTitle + ", '')"
	for _, query := range []string{
		"SELECT p.channel, p.name, '', " + title + " FROM petnames p LEFT JOIN channels ON id = p.channel ORDER BY p.name LIMIT ?1",
		"SELECT id, '', topic, " + title + " FROM channels JOIN topics t ON t.channel = no WHERE reason = ?2 ORDER BY topic, no LIMIT ?1",
		"SELECT id, '', '', " + title + " FROM channels ORDER BY reason DESC, no LIMIT ?1",
	} {
		rows, err := db.QueryContext(ctx, query, maxGlimpses, Owned)
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
