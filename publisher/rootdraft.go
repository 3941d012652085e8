package publisher

import (
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/keyfile"
)

// DraftText is a root draft as it lies in a file.
type DraftText struct {
	Name string // what errors call it
	Text []byte
}

// JoinDrafts reads copies of one draft that several people have signed, and
// puts their signatures together.
func JoinDrafts(texts ...DraftText) (channel.RootDraft, error) {
	if len(texts) == 0 {
		return channel.RootDraft{}, fmt.Errorf("%w: no root draft", channel.ErrMalformed)
	}
	var drafts []channel.RootDraft
	for _, t := range texts {
		d, err := channel.ParseRootDraft(t.Text)
		if err != nil {
			return channel.RootDraft{}, fmt.Errorf("%s: %w", t.Name, err)
		}
		if len(drafts) > 0 {
			if d, err = drafts[0].Merge(d); err != nil {
				return channel.RootDraft{}, fmt.Errorf("%s and %s: %w", texts[0].Name, t.Name, err)
			}
			drafts[0] = d
			continue
		}
		drafts = append(drafts, d)
	}
	return drafts[0], nil
}

// SignDraft signs a draft with the keys of files, which keys reads. It needs no catalogue and no
// network: all that has to be known to check the draft is in it.
func SignDraft(d channel.RootDraft, keys keyfile.Keys, files ...string) (channel.RootDraft, error) {
	for _, file := range files {
		key, err := keys.Load(file)
		if err != nil {
			return channel.RootDraft{}, err
		}
		if d, err = d.Sign(key); err != nil {
			return channel.RootDraft{}, fmt.Errorf("signing with %s: %w", file, err)
		}
	}
	return d, nil
}
