package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// SearchRequest asks for what all of Query's words stand in. Filters that are zero
// let everything pass.
type SearchRequest struct {
	Query   string `json:"query"`
	Channel string `json:"channel"` // as in ShowRequest
	Topic   string `json:"topic"`   // and what lies below it
	Type    string `json:"type"`    // media type of files, or its first part
	MinSize uint64 `json:"minSize"`
	MaxSize uint64 `json:"maxSize"`
	Since   string `json:"since"` // such as 7d, 24h or 30m
	Label   string `json:"label"` // that a filter of this node has given the release: KEY, or KEY=VALUE
	Limit   int    `json:"limit"` // 0: 20
}

// SearchResult has the best hits first.
type SearchResult struct {
	Hits []SearchHit `json:"hits"`
	More bool        `json:"more"` // there are others, found by other words or filters
}

// SearchHit is a channel, a release or a file.
type SearchHit struct {
	Kind      string       `json:"kind"`    // channel, release or file
	Channel   string       `json:"channel"` // its id
	Title     string       `json:"title"`   // the channel's
	State     string       `json:"state"`   // own, followed or listed
	Currency               // the channel's
	LookAlike string       `json:"lookAlike,omitempty"`
	Alike     [][]string   `json:"alike,omitempty"` // as in BrowseChannel, where the channel was found by its publishers' names
	Address   string       `json:"address"`         // of the file, else of the channel
	Name      string       `json:"name,omitempty"`  // of the file, or the release's title
	Size      uint64       `json:"size,omitempty"`
	MediaType string       `json:"mediaType,omitempty"`
	SHA256    *codec.Hash  `json:"sha256,omitempty"`
	Log       string       `json:"log,omitempty"`
	Seq       uint64       `json:"seq,omitempty"`     // of the release
	Issued    channel.Time `json:"issued,omitzero"`   // the release, or a channel's newest
	Snippet   string       `json:"snippet,omitempty"` // of what else is said, around a word that was asked for
}

// Search finds what this node knows. It asks nobody.
func (n *Node) Search(ctx context.Context, req SearchRequest, _ func(any)) (SearchResult, error) {
	f := catalog.Search{Query: req.Query, Type: req.Type, MinSize: req.MinSize, MaxSize: req.MaxSize, Limit: req.Limit}
	if req.Label != "" {
		f.Label, f.Value, _ = strings.Cut(req.Label, "=")
		if f.Label == "" {
			return SearchResult{}, badRequest("--label %q: want KEY or KEY=VALUE", req.Label)
		}
	}
	if kind, sub, two := strings.Cut(req.Type, "/"); two && (kind == "" || sub == "") {
		return SearchResult{}, badRequest("--type %q: want a media type, as audio or video/mp4", req.Type)
	}
	if req.Channel != "" {
		info, err := n.find(ctx, req.Channel)
		if err != nil {
			return SearchResult{}, err
		}
		f.Channel = info.ID
	}
	if req.Topic != "" {
		topic, err := channel.NormalizeTopic(req.Topic)
		if err != nil {
			return SearchResult{}, badRequest("--topic: %w", err)
		}
		f.Topic = topic
	}
	if req.Since != "" {
		age, err := parseAge(req.Since)
		if err != nil {
			return SearchResult{}, badRequest("--since: %w", err)
		}
		f.Since = time.Now().Add(-age)
	}
	found, err := n.catalog.Search(ctx, f)
	if errors.Is(err, catalog.ErrQuery) {
		return SearchResult{}, usageError{err}
	}
	if err != nil {
		return SearchResult{}, err
	}
	res := SearchResult{Hits: []SearchHit{}, More: found.More}
	known := map[channel.ID]Currency{}
	for _, h := range found.Hits {
		out := hit(h)
		current, ok := known[h.Channel]
		if !ok {
			if current, err = n.currency(ctx, h.Channel); err != nil {
				return SearchResult{}, err
			}
			known[h.Channel] = current
		}
		out.Currency = current
		res.Hits = append(res.Hits, out)
	}
	return res, nil
}

func hit(h catalog.Hit) SearchHit {
	out := SearchHit{
		Kind: string(h.Kind), Channel: h.Channel.String(), Title: h.Title, State: stateOf(h.Reason), LookAlike: lookAlike(h.Looks), Alike: h.Alike,
		Address: address(h.Channel), Name: h.Name, Seq: h.Seq, Issued: h.Issued, Snippet: h.Snippet,
	}
	if h.Kind != catalog.HitChannel {
		out.Log = h.Log.String()
	}
	if h.Kind == catalog.HitFile {
		out.Address = channel.Address{ID: h.Channel, Path: h.Name}.String()
		out.Size, out.MediaType, out.SHA256 = h.Entry.Size, h.Entry.MediaType, &h.Entry.SHA256
	}
	return out
}

// stateOf is what a channel is to this node.
func stateOf(r catalog.Reason) string {
	if r == catalog.Owned {
		return "own"
	}
	return r.String()
}

// lookAlike is the address of what a channel looks like, empty if nothing.
func lookAlike(l catalog.LookAlike) string {
	if l.ID.IsZero() {
		return ""
	}
	return address(l.ID)
}

// parseAge reads 7d, or what time.ParseDuration does.
func parseAge(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	age, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		if n, err = strconv.ParseUint(days, 10, 16); err == nil {
			age = time.Duration(n) * 24 * time.Hour
		}
	}
	if err != nil || age <= 0 {
		return 0, fmt.Errorf("%q is not an age such as 7d, 24h or 30m", s)
	}
	return age, nil
}
