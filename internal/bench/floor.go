package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
)

// The floor of a fetch: the same sealed blobs, in order, as they are, over two
// libp2p TCP+TLS streams; the reader hashes each, opens it and writes the file.
const (
	floorProtocol = "/aml-bench/floor/1"
	floorStreams  = 2
)

// folderSource reads the blobs of a stopped or running node from its folder.
type folderSource string

func (f folderSource) Get(_ context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	hex := id.String()
	data, err := os.ReadFile(filepath.Join(string(f), "blobs", hex[:2], hex))
	if errors.Is(err, fs.ErrNotExist) {
		data, err = os.ReadFile(filepath.Join(string(f), "blobs", hex[:2], hex[2:4], hex))
	}
	return append(dst, data...), err
}

// part is a chunk of one of the files.
type part struct {
	codec.Chunk
	file int
}

// parts lists the chunks of the files that the input describes.
func parts(ctx context.Context, o options) ([]part, []channel.FileEntry, error) {
	doc, err := os.ReadFile(o.input)
	if err != nil {
		return nil, nil, err
	}
	entries, err := channel.ParseFileEntries(doc)
	if err != nil {
		return nil, nil, err
	}
	var all []part
	for i, e := range entries {
		for chunk, err := range codec.Chunks(ctx, folderSource(o.home), e.File()) {
			if err != nil {
				return nil, nil, err
			}
			all = append(all, part{chunk, i})
		}
	}
	return all, entries, nil
}

func floorHost() (host.Host, error) {
	return libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableRelay())
}

func floorServe(ctx context.Context, o options) error {
	all, _, err := parts(ctx, o)
	if err != nil {
		return err
	}
	h, err := floorHost()
	if err != nil {
		return err
	}
	defer h.Close()
	h.SetStreamHandler(floorProtocol, func(s network.Stream) {
		defer s.Close()
		var which [1]byte
		if _, err := io.ReadFull(s, which[:]); err != nil {
			return
		}
		var blob []byte
		for i := int(which[0]); i < len(all); i += floorStreams {
			var err error
			if blob, err = folderSource(o.home).Get(ctx, all[i].Ref.ID, blob[:0]); err != nil {
				_ = s.Reset()
				return
			}
			var size [4]byte
			binary.BigEndian.PutUint32(size[:], uint32(len(blob)))
			if _, err := s.Write(append(size[:], blob...)); err != nil {
				return
			}
		}
	})
	addrs, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string][]multiaddr.Multiaddr{"addrs": addrs}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func floorFetch(ctx context.Context, o options) error {
	all, entries, err := parts(ctx, o)
	if err != nil {
		return err
	}
	h, err := floorHost()
	if err != nil {
		return err
	}
	defer h.Close()
	info, err := peer.AddrInfoFromString(o.peer)
	if err != nil {
		return err
	}
	if err := h.Connect(ctx, *info); err != nil {
		return err
	}
	out, err := createFloor(o.output, entries)
	if err != nil {
		return err
	}
	kept := ""
	if o.keep {
		kept = o.output + ".blobs"
		if err := os.MkdirAll(kept, 0o777); err != nil {
			return err
		}
	}
	var group errgroup.Group
	for which := range floorStreams {
		group.Go(func() error { return floorStream(ctx, h, info.ID, which, all, out, kept) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, f := range out {
		if o.sync {
			if err := f.Sync(); err != nil {
				return err
			}
		}
		if st, err := f.Stat(); err != nil || uint64(st.Size()) != entries[i].Size {
			return fmt.Errorf("floor wrote %v bytes, want %d: %w", st, entries[i].Size, err)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// createFloor makes the file of one entry, or those of many below a folder; the
// process may have that many open.
func createFloor(path string, entries []channel.FileEntry) ([]*os.File, error) {
	if len(entries) == 1 {
		f, err := os.Create(path)
		return []*os.File{f}, err
	}
	out := make([]*os.File, len(entries))
	for i, e := range entries {
		name := filepath.Join(path, filepath.FromSlash(e.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return nil, err
		}
		f, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		out[i] = f
	}
	return out, nil
}

func floorStream(ctx context.Context, h host.Host, from peer.ID, which int, all []part, out []*os.File, kept string) error {
	s, err := h.NewStream(ctx, from, floorProtocol)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil {
		return err
	}
	if _, err := s.Write([]byte{byte(which)}); err != nil {
		return err
	}
	r := bufio.NewReaderSize(s, 64<<10)
	blob, plain := make([]byte, 0, blobnet.MaxBlobSize), make([]byte, 0, blobnet.MaxBlobSize)
	for i := which; i < len(all); i += floorStreams {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > blobnet.MaxBlobSize {
			return blobnet.ErrTooLarge
		}
		if _, err := io.ReadFull(r, blob[:n]); err != nil {
			return err
		}
		if blobnet.Sum(blob[:n]) != all[i].Ref.ID {
			return blobnet.ErrCorrupt
		}
		if kept != "" {
			if err := os.WriteFile(filepath.Join(kept, all[i].Ref.ID.String()), blob[:n], 0o666); err != nil {
				return err
			}
		}
		if plain, err = codec.Open(plain[:0], blob[:n], all[i].Ref); err != nil {
			return err
		}
		if _, err := out[all[i].file].WriteAt(plain, int64(all[i].Offset)); err != nil {
			return err
		}
	}
	return nil
}
