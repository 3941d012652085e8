package codec

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"
)

// window is how many chunks may be between reading and the index: it bounds the
// refs that wait for a slower one before them.
const window = 256

// job is one chunk on its way. It has one owner at a time: the reader fills it,
// the hasher passes it on, a worker seals it in place, puts it and gives the
// buffer back.
type job struct {
	index     uint64
	buf       []byte // plaintext; its capacity has room for the blob
	key       Key
	indexKeys []Key // for the index blobs that this chunk fills
}

// done is what remains of a job.
type done struct {
	index     uint64
	ref       Ref
	indexKeys []Key
}

// pipeline encodes one file of more than one chunk:
//
//	reader -> hasher -> workers -> collector
//
// Every channel is closed by its sender. A blocked sender or receiver also
// waits for ctx, except on results and free, whose capacity exceeds what can
// ever be in them.
type pipeline struct {
	input   io.Reader
	dst     Putter
	cfg     Config
	newKey  func() (Key, error)
	builder builder
	parity  *parities // nil without an Eraser

	free    chan []byte   // buffers that nobody owns
	tickets chan struct{} // one for each chunk in the window
	read    chan job
	hashed  chan job
	results chan done

	size uint64 // plaintext bytes; the hasher's until run collects it
	sum  hash.Hash
}

func newPipeline(r io.Reader, dst Putter, cfg Config, maxRefs int) *pipeline {
	buffers := cfg.Workers + 4 // those being sealed, and: read, queued, hashed, queued
	tickets := window
	var parity *parities
	if cfg.Erasure != nil {
		// Bounds the stripes that are open at once, and so their memory.
		tickets = min(window, 2*cfg.Erasure.Coding().Data+buffers)
		parity = newParities(cfg.Erasure, PaddedSize(cfg.ChunkSize)+Overhead)
	}
	return &pipeline{
		input:   r,
		dst:     dst,
		cfg:     cfg,
		newKey:  func() (Key, error) { return NewKey(cfg.Rand) },
		builder: builder{dst: dst, maxRefs: maxRefs, parity: parity},
		parity:  parity,
		free:    make(chan []byte, buffers),
		tickets: make(chan struct{}, tickets),
		read:    make(chan job, 1),
		hashed:  make(chan job, 1),
		results: make(chan done, window),
		sum:     sha256.New(),
	}
}

// run encodes first and what follows it in the input: nothing if it is the last
// chunk, and else it is full.
func (p *pipeline) run(parent context.Context, first []byte, last bool) (File, error) {
	group, ctx := errgroup.WithContext(parent)
	group.Go(func() error { return p.readAll(ctx, first, last) })
	group.Go(func() error { return p.hashAll(ctx) })
	var workers sync.WaitGroup
	workers.Add(p.cfg.Workers)
	for range p.cfg.Workers {
		group.Go(func() error {
			defer workers.Done()
			return p.sealAll(ctx)
		})
	}
	group.Go(func() error {
		workers.Wait()
		close(p.results)
		return nil
	})
	group.Go(func() error { return p.collect(ctx) })
	if err := group.Wait(); err != nil {
		return File{}, fmt.Errorf("encoding: %w", err)
	}
	root, depth, err := p.builder.finish(parent, p.newKey)
	if err != nil {
		return File{}, fmt.Errorf("encoding: %w", err)
	}
	file := File{Root: root, Depth: depth, Size: p.size}
	p.sum.Sum(file.SHA256[:0])
	return file, nil
}

// readAll cuts the input into jobs. It alone draws keys while it runs.
func (p *pipeline) readAll(ctx context.Context, first []byte, last bool) error {
	defer close(p.read)
	limit := span(1, MaxDepth, uint64(p.builder.maxRefs)) // chunks
	made, buf := 1, first
	for index := uint64(0); ; index++ {
		end := last
		if index > 0 {
			var err error
			if buf, err = p.buffer(ctx, &made); err != nil {
				return err
			}
			n, err := fill(p.input, buf)
			if buf, end = buf[:n], err == io.EOF; err != nil && !end {
				return fmt.Errorf("reading the input: %w", err)
			}
			if n == 0 {
				return nil
			}
		}
		if index == limit {
			return fmt.Errorf("file has more than %d chunks: %w", limit, ErrTooLarge)
		}
		j := job{index: index, buf: buf}
		var err error
		if j.key, err = p.newKey(); err != nil {
			return err
		}
		for range p.builder.fills(index + 1) {
			key, err := p.newKey()
			if err != nil {
				return err
			}
			j.indexKeys = append(j.indexKeys, key)
		}
		select {
		case p.tickets <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case p.read <- j:
		case <-ctx.Done():
			return ctx.Err()
		}
		if end {
			return nil
		}
	}
}

// buffer returns a buffer of a chunk's length with room to seal it. made counts
// those that exist.
func (p *pipeline) buffer(ctx context.Context, made *int) ([]byte, error) {
	select {
	case buf := <-p.free:
		return buf, nil
	default:
	}
	if *made < cap(p.free) {
		*made++
		return make([]byte, p.cfg.ChunkSize, p.cfg.ChunkSize+Overhead), nil
	}
	select {
	case buf := <-p.free:
		return buf, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hashAll is the sequential step: the SHA-256 of the plaintext. Passing a
// chunk on only afterwards lets the workers seal it in place.
func (p *pipeline) hashAll(ctx context.Context) error {
	defer close(p.hashed)
	for j := range p.read {
		p.sum.Write(j.buf)
		p.size += uint64(len(j.buf))
		select {
		case p.hashed <- j:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// sealAll is one worker.
func (p *pipeline) sealAll(ctx context.Context) error {
	for j := range p.hashed {
		if err := ctx.Err(); err != nil {
			return err
		}
		blob := sealInPlace(j.buf, j.key)
		ref := MakeRef(blob, j.key, uint64(len(j.buf)))
		if err := putChunk(ctx, p.dst, ref, j.index*uint64(p.cfg.ChunkSize), blob); err != nil {
			return fmt.Errorf("putting blob %s: %w", ref.ID.Short(), err)
		}
		if p.parity != nil {
			key, place := p.parity.place(0, j.index, p.builder.maxRefs)
			if err := p.parity.add(key, place, blob); err != nil {
				return err
			}
		}
		p.results <- done{j.index, ref, j.indexKeys}
		if cap(j.buf) >= p.cfg.ChunkSize { // not so for a short file's only chunk
			p.free <- j.buf[:p.cfg.ChunkSize]
		}
	}
	return nil
}

// collect puts refs back into file order and builds the index from them.
func (p *pipeline) collect(ctx context.Context) error {
	var waiting [window]done
	var here [window]bool
	next := uint64(0)
	for d := range p.results {
		waiting[d.index%window], here[d.index%window] = d, true
		for slot := next % window; here[slot]; slot = next % window {
			if err := p.builder.add(ctx, waiting[slot].ref, waiting[slot].indexKeys); err != nil {
				return err
			}
			here[slot] = false
			next++
			<-p.tickets
		}
	}
	return nil
}
