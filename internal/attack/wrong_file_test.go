package attack

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/libp2p/go-libp2p/core/host"
)

// A mirror has every blob of the channel, and gives another one than was asked
// for: whole, sealed by the publisher, and good for another file. Another mirror
// gives the right one but for a bit, a third one all but its end.
func TestWrongFile(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "swapped")
	pub := newParty(w, "publisher")
	files := map[string]string{"wanted": pattern(150_000, 1), "other": pattern(150_000, 2)}
	body := pub.ingest(files)
	pub.release(ch, ch.Release(body))
	reader := newParty(w, "reader")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)

	var all []blobnet.Info
	w.must(pub.store.List(t.Context(), func(i blobnet.Info) error {
		all = append(all, i)
		return nil
	}))
	get := func(id blobnet.ID) []byte {
		data, _ := pub.store.Get(t.Context(), id, nil)
		return data
	}
	swapping, flipping, cutting := newAdversary(w), newAdversary(w), newAdversary(w)
	swapping.serveBlobs(func(id blobnet.ID) []byte {
		for i, b := range all {
			if b.ID == id {
				return get(all[(i+1)%len(all)].ID)
			}
		}
		return nil
	})
	flipping.serveBlobs(func(id blobnet.ID) []byte {
		data := get(id)
		if len(data) > 0 {
			data[len(data)/2] ^= 1
		}
		return data
	})
	cutting.serveBlobs(func(id blobnet.ID) []byte { data := get(id); return data[:len(data)/2] })

	t.Log("who meets only liars gets nothing")
	reader.patience = time.Second
	liars := []host.Host{swapping.host, flipping.host, cutting.host}
	out, err := reader.write(ch, channel.MemberKey{}, liars...)
	if err == nil {
		t.Error("it wrote all files")
	}
	w.wantFiles(out, nil)

	t.Log("and with an honest mirror beside them everything, and what is new")
	pub.release(ch, ch.Release(pub.ingest(map[string]string{"new": pattern(90_000, 3)})))
	files["new"] = pattern(90_000, 3)
	reader.awaitAll(ch)
	reader.patience = waitLimit
	out, err = reader.write(ch, channel.MemberKey{}, append(liars, pub.host)...)
	w.must(err)
	w.wantFiles(out, files)
}
