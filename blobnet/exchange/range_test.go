package exchange

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"lukechampine.com/blake3"
	"pgregory.net/rapid"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/bao"
)

func rangeOf(blob []byte, offset, length int) blobnet.Range {
	return blobnet.Range{Tree: blake3.Sum256(blob), Size: len(blob), Offset: offset, Length: length}
}

func TestRangesOfAnyAlignmentComeVerified(t *testing.T) {
	blob := randomBlob(1<<20+16, 1)
	from, to := newPair(t)
	start(t, Config{Host: to, Store: newTestStore(blob)})
	down := newEvents()
	p := start(t, Config{Host: from, OnEvent: down.add}).Peer(to.ID())
	rapid.Check(t, func(rt *rapid.T) {
		offset := rapid.IntRange(0, len(blob)-1).Draw(rt, "offset")
		length := rapid.OneOf(rapid.IntRange(1, len(blob)-offset), rapid.IntRange(1, min(len(blob)-offset, 40_000))).Draw(rt, "length")
		prefix := []byte("before")
		got, err := p.GetRange(t.Context(), blobnet.Sum(blob), rangeOf(blob, offset, length), prefix)
		if err != nil || !bytes.Equal(got, append(prefix, blob[offset:offset+length]...)) {
			rt.Fatalf("%d bytes: %v", len(got), err)
		}
	})
	if ev := down.wait(t, KindDownload); ev.ID != blobnet.Sum(blob) || ev.Bytes == 0 {
		t.Errorf("event %+v", ev)
	}
}

func TestManyRangesAndBlobsAtOnceShareTwoStreams(t *testing.T) {
	blob := randomBlob(blobnet.MaxBlobSize, 1)
	from, to := newPair(t)
	start(t, Config{Host: to, Store: newTestStore(blob)})
	p := start(t, Config{Host: from}).Peer(to.ID())
	var work sync.WaitGroup
	for i := range 64 {
		work.Go(func() {
			if i%8 == 0 {
				if got, err := p.Get(t.Context(), blobnet.Sum(blob), nil); err != nil || !bytes.Equal(got, blob) {
					t.Error(err)
				}
			}
			r := rangeOf(blob, i*blobnet.RangeAlign, 2*blobnet.RangeAlign)
			got, err := p.GetRange(t.Context(), blobnet.Sum(blob), r, nil)
			if err != nil || !bytes.Equal(got, blob[r.Offset:r.Offset+r.Length]) {
				t.Errorf("range %d: %v", i, err)
			}
		})
	}
	work.Wait()
	if n := streams(from, to); n != 2 {
		t.Errorf("%d streams", n)
	}
}

func TestRangesThatCannotBeAreToldApart(t *testing.T) {
	blob, lost := randomBlob(100_000, 1), blobnet.ID{7}
	from, to := newPair(t)
	start(t, Config{Host: to, Store: newTestStore(blob)})
	ev := newEvents()
	p := start(t, Config{Host: from, OnEvent: ev.add}).Peer(to.ID())
	id, good := blobnet.Sum(blob), rangeOf(blob, 0, 1000)
	change := func(f func(*blobnet.Range)) blobnet.Range {
		r := good
		f(&r)
		return r
	}
	for name, c := range map[string]struct {
		id   blobnet.ID
		r    blobnet.Range
		want error // nil: the caller's fault, which is none of these
	}{
		"not there":                {lost, good, blobnet.ErrNotFound},
		"wrong hash":               {id, change(func(r *blobnet.Range) { r.Tree[3] ^= 1 }), ErrProof},
		"a size that is too small": {id, change(func(r *blobnet.Range) { r.Size-- }), ErrProof},
		"another shape of tree":    {id, change(func(r *blobnet.Range) { r.Size = 1 << 20 }), ErrProof},
		"beyond what the peer has": {id, change(func(r *blobnet.Range) { r.Size, r.Offset = 1<<20, 200_000 }), ErrProof},
		"empty":                    {id, change(func(r *blobnet.Range) { r.Length = 0 }), nil},
		"beyond the size":          {id, change(func(r *blobnet.Range) { r.Offset = 99_001 }), nil},
		"before the beginning":     {id, change(func(r *blobnet.Range) { r.Offset = -1 }), nil},
		"a size that no blob has":  {id, change(func(r *blobnet.Range) { r.Size = blobnet.MaxBlobSize + 1 }), nil},
		"a length that runs over":  {id, change(func(r *blobnet.Range) { r.Length = int(^uint(0) >> 1) }), nil},
	} {
		got, err := p.GetRange(t.Context(), c.id, c.r, []byte("dst"))
		if err == nil || string(got) != "dst" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if c.want != nil && !errors.Is(err, c.want) || c.want == nil && (errors.Is(err, blobnet.ErrCorrupt) || errors.Is(err, blobnet.ErrNotFound)) {
			t.Errorf("%s: %v", name, err)
		}
		if c.want == ErrProof && !errors.Is(err, blobnet.ErrCorrupt) {
			t.Errorf("%s: no ErrCorrupt: %v", name, err)
		}
		if errors.As(err, new(*MisbehaviourError)) {
			t.Errorf("%s: the peer is blamed: %v", name, err)
		}
	}
	if _, err := p.Get(t.Context(), id, nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if n := ev.count(KindMisbehaviour); n != 0 {
		t.Errorf("%d times misbehaviour", n)
	}
}

func TestProofsOfHostileServers(t *testing.T) {
	blob := randomBlob(300_000, 1)
	proof, err := bao.Proof(nil, blob, 1<<16, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(f frame, p []byte) frame {
		return frame{typ: typeResponse, req: f.req, flags: flagProof, length: uint32(len(p)), data: p[:min(len(p), maxPayload)]}
	}
	for name, c := range map[string]struct {
		want  error
		serve func(*raw, frame)
	}{
		"flipped bit": {ErrProof, func(r *raw, f frame) {
			bad := bytes.Clone(proof)
			bad[100] ^= 4
			first, second := answer(f, bad), answer(f, bad)
			second.offset, second.data = uint32(len(first.data)), bad[len(first.data):]
			r.send(first, second)
		}},
		"too long":           {ErrProof, func(r *raw, f frame) { r.send(answer(f, append(bytes.Clone(proof), 0))) }},
		"too short":          {ErrProof, func(r *raw, f frame) { r.send(answer(f, proof[:1000])) }},
		"longer than any":    {ErrProtocol, func(r *raw, f frame) { a := answer(f, proof); a.length = maxProof + 1; r.send(a) }},
		"empty":              {ErrProof, func(r *raw, f frame) { r.send(frame{typ: typeResponse, req: f.req, flags: flagProof}) }},
		"no proof":           {ErrProtocol, func(r *raw, f frame) { a := answer(f, proof); a.flags = 0; r.send(a) }},
		"knows no ranges":    {errors.ErrUnsupported, func(r *raw, f frame) { r.send(frame{typ: typeError, req: f.req, code: codeUnsupported}) }},
		"stops in mid-proof": {ErrStalled, func(r *raw, f frame) { r.send(answer(f, proof)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ev := hostileServer(t, Config{}, c.serve)
			got, err := p.GetRange(t.Context(), blobnet.Sum(blob), rangeOf(blob, 1<<16, 1<<16), nil)
			if !errors.Is(err, c.want) || got != nil {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if c.want == ErrProtocol {
				ev.wait(t, KindMisbehaviour)
			}
		})
	}
}

func TestHostileRangesAreRefusedAndTheStreamGoesOn(t *testing.T) {
	blob := randomBlob(20_000, 1)
	r, _ := hostileClient(t, Config{Store: newTestStore(blob)})
	r.hello()
	id := blobnet.Sum(blob)
	all := [][2]uint32{{0, 0}, {1, 0}, {0, 20_001}, {20_000, 1}, {19_999, 2}, {0, 1 << 31}, {1 << 31, 1 << 31}, {1<<32 - 1, 1<<32 - 1},
		{1, 1<<32 - 1}, {blobnet.MaxBlobSize, 1}, {0, blobnet.MaxBlobSize + 1}, {0, blobnet.MaxBlobSize}}
	for i, c := range all {
		req := uint32(i + 1)
		r.send(frame{typ: typeRequest, req: req, flags: flagProof, id: id, offset: c[0], length: c[1]})
		if f := r.next(); f.typ != typeError || f.req != req || f.code != codeRange {
			t.Errorf("%v: got %+v", c, f)
		}
	}
	r.send(frame{typ: typeRequest, req: 99, flags: flagProof, id: id, offset: 19_999, length: 1})
	f := r.next()
	proof := make([]byte, f.size)
	if err := r.fr.data(proof); err != nil {
		t.Fatal(err)
	}
	if f.typ != typeResponse || f.flags != flagProof || int(f.length) != f.size {
		t.Errorf("got %+v", f)
	}
	if got, err := bao.Verify(nil, proof, rangeOf(blob, 19_999, 1)); err != nil || got[0] != blob[19_999] {
		t.Errorf("%v, %v", got, err)
	}
}

func TestServerWithoutTheFeatureIsNotAskedForRanges(t *testing.T) {
	blob := randomBlob(100, 1)
	asked := make(chan frame, 2)
	p, _ := hostileServer(t, Config{Streams: 1}, func(r *raw, f frame) {
		for err := error(nil); err == nil; f, err = r.fr.next() {
			asked <- f
			r.send(frame{typ: typeResponse, req: f.req, length: 100, data: blob})
		}
	})
	if _, err := p.Get(t.Context(), blobnet.Sum(blob), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.GetRange(t.Context(), blobnet.Sum(blob), rangeOf(blob, 0, 10), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if len(asked) != 1 {
		t.Error("it was asked all the same")
	}
}

func TestCancelledRangeLeavesDstAlone(t *testing.T) {
	blob := randomBlob(100_000, 1)
	begun := make(chan struct{})
	p, _ := hostileServer(t, Config{}, func(r *raw, f frame) { close(begun) })
	p.c.e.cfg.StallTimeout = 1 << 40
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if got, err := p.GetRange(ctx, blobnet.Sum(blob), rangeOf(blob, 0, 10), []byte("dst")); !errors.Is(err, context.Canceled) || string(got) != "dst" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestShortRangesGoAheadOfBlobsButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(1<<20, 1)
		e := newPiped(t, Config{Store: newTestStore(blob)})
		f := e.pipeFrom(t, "peer")
		req := uint32(0)
		for range 5 {
			req++
			f.send(frame{typ: typeRequest, req: req, id: blobnet.Sum(blob)})
		}
		for range 80 {
			req++
			f.send(frame{typ: typeRequest, req: req, flags: flagProof, id: blobnet.Sum(blob), length: 1 << 16})
		}
		var order []uint32
		for len(order) < int(req) {
			r := f.next()
			if int(r.offset)+r.size == int(r.length) {
				order = append(order, r.req)
			}
		}
		// What was being sent and read when the ranges came stays ahead.
		if i := slices.Index(order, 6); i > 2 {
			t.Errorf("the first range came after %d blobs", i)
		}
		if i := slices.Index(order, 5); i > 70 {
			t.Errorf("the last blob came as number %d", i)
		}
		blobs := slices.DeleteFunc(slices.Clone(order), func(r uint32) bool { return r > 5 })
		if !slices.IsSorted(blobs) {
			t.Errorf("the order is %v", order)
		}
	})
}

func TestOnePeersRangesLeaveRoomForThoseOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(1<<20, 1)
		store := newTestStore(blob)
		store.block = make(chan struct{})
		e := newPiped(t, Config{Store: store})
		ask := frame{typ: typeRequest, req: 1, flags: flagProof, id: blobnet.Sum(blob), length: 1 << 14}
		var greedy []far
		for range 4 {
			p := e.pipeFrom(t, "greedy")
			p.send(ask)
			greedy = append(greedy, p)
		}
		synctest.Wait()
		if n := store.gets.Load(); n != maxProvingOfPeer {
			t.Errorf("%d proofs are made for one peer", n)
		}
		other := e.pipeFrom(t, "other")
		other.send(ask)
		synctest.Wait()
		if n := store.gets.Load(); n != maxProvingOfPeer+1 {
			t.Errorf("%d proofs are made after another peer came", n)
		}
		close(store.block)
		for _, p := range append(greedy, other) {
			if f := p.next(); f.typ != typeResponse {
				t.Errorf("a range was answered %v", f.typ)
			}
		}
	})
}
