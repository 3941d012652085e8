package kit

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/plugins/host"
)

// What plugins are shown: all of it is what a node could have verified, and so
// within the limits of the format.

// entry is a file of a release.
func entry(name, media string, size uint64) channel.FileEntry {
	return channel.FileEntry{
		Name: name, Size: size, MediaType: media, SHA256: sha256.Sum256([]byte(name)), Mode: 0o644, Modified: channel.TimeOf(time.Unix(1e9, 0)),
		Root: codec.Ref{ID: blobnet.Sum([]byte(name)), Size: size},
	}
}

func release(seq uint64, body channel.Body) host.Release {
	return host.Release{Channel: channel.ID{1, 2, 3}, Kind: channel.Update, Log: channel.PublicKey{4, 5, 6}, Epoch: 1, Seq: seq, Hash: channel.Hash{byte(seq), 7}, Issued: 1_700_000_000, Body: &body}
}

// usual is what most releases are like.
func usual(seq uint64) host.Release {
	return release(seq, channel.Body{
		Title: fmt.Sprintf("Episode %d", seq), Description: "Notes", Metadata: map[string]string{"guid": fmt.Sprint(seq), "date": "2020-01-02T03:04:05Z"},
		Entries: []channel.FileEntry{entry(fmt.Sprintf("episode-%d.mp3", seq), "audio/mpeg", 5<<20), entry("cover.jpg", "image/jpeg", 80_000)},
	})
}

// large has as many files as a release can have.
func large() host.Release {
	var b channel.Body
	b.Title = "Large"
	for i := range channel.MaxEntries {
		b.Entries = append(b.Entries, entry(fmt.Sprintf("folder %02d/file %04d.flac", i%50, i), "audio/flac", uint64(i)))
	}
	return release(2, b)
}

// hostile has whatever the format lets through, and nothing.
func hostile() []host.Release {
	attrs := map[string]string{}
	for i := range channel.MaxPairs {
		attrs[fmt.Sprintf("%02d%s", i, strings.Repeat("k", channel.MaxPairKey-2))] = strings.Repeat("v", 512)
	}
	odd := channel.Body{Title: strings.Repeat("t", channel.MaxTitle), Description: strings.Repeat("<script>\"'&\n", channel.MaxDescription/12), Metadata: attrs}
	for i, name := range []string{
		strings.Repeat("a/", 500) + "b", "-rf", "$(reboot)", "%s%n%00", "con.txt", ".hidden", "a\u200bb", "\u0627\u0644\u0639", "🙂.mp3", "' OR 1=1 --", "file.mp3 ", "a;b|c&d", strings.Repeat("é", 120) + ".exe",
	} {
		e := entry(name, "audio/mpeg; charset=\"x\"", uint64(i)<<50)
		e.Attrs = attrs
		odd.Entries = append(odd.Entries, e)
	}
	return []host.Release{release(3, odd), release(4, channel.Body{}), release(5, channel.Body{Removals: []channel.Removal{{Name: "gone.mp3", Reason: "why"}}}), {}}
}
