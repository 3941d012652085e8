package node

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/seq"
	"github.com/anonymous-media-library/aml/plugins"
)

// MirrorCopyRequest copies blobs to a plugin with hook Mirror, or with Pull from
// it.
type MirrorCopyRequest struct {
	Named
	Plugin string `json:"plugin"`
	Pull   bool   `json:"pull"` // then not with All: nobody says which those are
}

// How a copy goes about it.
const (
	mirrorBatch = 1024 // blobs asked about at once
	maxInARow   = 16   // failures after which it is given up
)

// MirrorCopy copies what is missing on the other side. What fails is counted, and
// copied when it is asked again. It emits ProgressEvents.
func (n *Node) MirrorCopy(ctx context.Context, req MirrorCopyRequest, emit func(any)) (PushResult, error) {
	p, err := n.plugins.shelf.Get(req.Plugin)
	switch {
	case err != nil:
		return PushResult{}, err
	case p.Err == nil && !p.Manifest.Has(plugins.Mirror):
		return PushResult{}, badRequest("plugin %s has no hook %s; it has %v", p.ID, plugins.Mirror, p.Manifest.Hooks)
	case req.Pull && req.All:
		return PushResult{}, badRequest("a mirror does not say what it has: name blobs or file entries")
	}
	m := &mirrorCopy{n: n, plugin: req.Plugin, emit: emit}
	var ids iter.Seq2[blobnet.ID, error]
	if req.Pull && req.Entries != nil { // what an index blob lists may be there alone
		ids, err = m.below(ctx, *req.Entries)
	} else {
		ids, err = n.ids(ctx, req.Named)
	}
	if err != nil {
		return PushResult{}, err
	}
	for batch, err := range seq.Batches(ids, mirrorBatch) {
		if err == nil && req.Pull {
			err = m.pull(ctx, batch)
		} else if err == nil {
			err = m.push(ctx, batch)
		}
		if err != nil {
			return m.res, err
		}
	}
	if m.res.Failed > 0 {
		m.res.Why = fmt.Sprintf("%d blobs were not copied, the last because of: %v; give the command again", m.res.Failed, m.last)
	}
	if req.Pull {
		return m.res, n.blobs.Sync(ctx)
	}
	return m.res, nil
}

// mirrorCopy is one copy.
type mirrorCopy struct {
	n      *Node
	plugin string
	emit   func(any)
	res    PushResult
	last   error
	row    int // failures in a row
}

func (m *mirrorCopy) push(ctx context.Context, ids []blobnet.ID) error {
	has, err := m.n.plugins.host.HasBlobs(ctx, m.plugin, ids)
	if err != nil {
		return err
	}
	return m.each(ctx, ids, has, func(id blobnet.ID) (int, error) {
		data, err := m.n.blobs.Get(ctx, id, nil)
		if err != nil {
			return 0, err
		}
		return len(data), m.n.plugins.host.Put(ctx, m.plugin, id, data)
	})
}

func (m *mirrorCopy) pull(ctx context.Context, ids []blobnet.ID) error {
	has, err := m.n.blobs.Has(ctx, ids...)
	if err != nil {
		return err
	}
	return m.each(ctx, ids, has, func(id blobnet.ID) (int, error) {
		data, err := m.n.plugins.host.Get(ctx, m.plugin, id) // which checks it
		if err != nil {
			return 0, err
		}
		return len(data), m.n.blobs.Put(ctx, id, data)
	})
}

// each copies those that the other side has not.
func (m *mirrorCopy) each(ctx context.Context, ids []blobnet.ID, has []bool, copy func(blobnet.ID) (int, error)) error {
	for i, id := range ids {
		if has[i] {
			m.res.There++
			continue
		}
		size, err := copy(id)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			m.res.Failed++
			m.last = fmt.Errorf("blob %s: %w", id.Short(), err)
			if m.row++; m.row >= maxInARow || errors.Is(err, blobnet.ErrFull) || errors.Is(err, plugins.ErrOff) {
				return m.last
			}
			continue
		}
		m.row = 0
		m.res.Pushed++
		m.res.Bytes += int64(size)
		m.emit(ProgressEvent{Event: "progress", Name: "copy", Done: uint64(m.res.Bytes)})
	}
	return nil
}

// below are the blobs of files, as far as their indexes are here or there.
func (m *mirrorCopy) below(ctx context.Context, doc Document) (iter.Seq2[blobnet.ID, error], error) {
	entries, err := doc.entries()
	if err != nil {
		return nil, err
	}
	var ids []blobnet.ID
	for _, e := range entries {
		for id, err := range codec.Blobs(ctx, mirrorSource{m}, e.File()) {
			if err != nil {
				return nil, listing(e, err)
			}
			if ids = append(ids, id); len(ids) > maxNamed {
				return nil, badRequest("more than %d blobs named at once", maxNamed)
			}
		}
	}
	return sorted(ids), nil
}

// mirrorSource has what is here, and then what is there.
type mirrorSource struct{ m *mirrorCopy }

func (s mirrorSource) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	data, err := s.m.n.blobs.Get(ctx, id, dst)
	if !errors.Is(err, blobnet.ErrNotFound) {
		return data, err
	}
	data, err = s.m.n.plugins.host.Get(ctx, s.m.plugin, id)
	return append(dst, data...), err
}
