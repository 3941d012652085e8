package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/archive"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

func store(t testing.TB, maxSize int64, numbers ...int) (*memstore.Store, []blobnet.ID) {
	t.Helper()
	s := memstore.New(memstore.Config{MaxSize: maxSize})
	var ids []blobnet.ID
	for _, n := range numbers {
		id, blob := storetest.Blob(n, 1000+n)
		if err := s.Put(t.Context(), id, blob); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, blobnet.ID.Compare)
	return s, ids
}

func each(ids []blobnet.ID) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func export(t testing.TB, s blobnet.Source, ids []blobnet.ID) []byte {
	t.Helper()
	var out bytes.Buffer
	if res, err := archive.Export(t.Context(), &out, s, each(ids)); err != nil || res.Blobs != int64(len(ids)) || res.Left != 0 {
		t.Fatalf("Export did %+v (%v)", res, err)
	}
	return out.Bytes()
}

// archiveOf makes an archive of any entries.
func archiveOf(t testing.TB, entries ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range entries {
		body := h.PAXRecords["body"]
		h.PAXRecords = nil
		h.Size = int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name, body string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, PAXRecords: map[string]string{"body": body}}
}

func TestWhatIsExportedIsImported(t *testing.T) {
	src, ids := store(t, 0, 1, 2, 3, 4, 5)
	data := export(t, src, ids)
	if !bytes.Equal(data, export(t, src, ids)) {
		t.Error("the same blobs give different archives")
	}
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(data), "byte by byte": iotest.OneByteReader(bytes.NewReader(data)), "with the end": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		dst, _ := store(t, 0)
		res, err := archive.Import(t.Context(), r, dst)
		if err != nil || res.Blobs != 5 || res.Bytes != 5015 || res.Bad+res.Skipped != 0 {
			t.Errorf("%s: Import did %+v (%v)", name, res, err)
		}
		for _, id := range ids {
			if _, err := dst.Get(t.Context(), id, nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestTheFormatIsWhatItWas: an archive made by one version is read by all.
func TestTheFormatIsWhatItWas(t *testing.T) {
	src, ids := store(t, 0, 1, 2)
	want, err := os.ReadFile(filepath.Join("testdata", "two.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if got := export(t, src, ids); !bytes.Equal(got, want) {
		t.Error("the archive of the same two blobs is another than testdata/two.tar")
	}
}

func TestAnUnpackedArchiveIsAMirror(t *testing.T) {
	src, ids := store(t, 0, 1, 2)
	in := tar.NewReader(bytes.NewReader(export(t, src, ids)))
	files := fstest.MapFS{}
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(in)
		if err != nil || h.Mode != 0o644 || h.ModTime.Unix() != 0 || h.Uid+h.Gid != 0 || h.Uname+h.Gname != "" {
			t.Errorf("the entry is %+v (%v)", h, err)
		}
		files[h.Name] = &fstest.MapFile{Data: body}
	}
	for _, id := range ids {
		if f := files["blobs/"+id.String()]; f == nil || blobnet.Sum(f.Data) != id {
			t.Errorf("blobs/%s is not in the archive", id)
		}
	}
}

func TestAllOfAStoreIsExportedInOrder(t *testing.T) {
	src, ids := store(t, 0, 5, 4, 3, 2, 1)
	var out bytes.Buffer
	if _, err := archive.Export(t.Context(), &out, src, archive.All(t.Context(), src)); err != nil || !bytes.Equal(out.Bytes(), export(t, src, ids)) {
		t.Errorf("the archive is another than that of the sorted ids (%v)", err)
	}
	for range archive.All(t.Context(), src) {
		break // ends the List
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := archive.Export(t.Context(), &out, src, archive.All(ctx, src)); !errors.Is(err, context.Canceled) {
		t.Errorf("Export gives %v, want the error of the List", err)
	}
}

func TestBlobsThatAreNotThereAreLeftOut(t *testing.T) {
	src, ids := store(t, 0, 1, 2)
	absent, _ := storetest.Blob(3, 1003)
	var out bytes.Buffer
	res, err := archive.Export(t.Context(), &out, src, each([]blobnet.ID{ids[0], absent, ids[1]}))
	if err != nil || res.Blobs != 2 || res.Left != 1 || len(res.Missing) != 1 || res.Missing[0] != absent {
		t.Errorf("Export did %+v (%v)", res, err)
	}
	stop := errors.New("stop")
	_, err = archive.Export(t.Context(), io.Discard, src, func(yield func(blobnet.ID, error) bool) { yield(blobnet.ID{}, stop) })
	if !errors.Is(err, stop) {
		t.Errorf("Export gives %v, want the error of the ids", err)
	}
}

func TestHostileEntriesDoNoHarm(t *testing.T) {
	id, blob := storetest.Blob(1, 1000)
	other, _ := storetest.Blob(2, 1000)
	big := strings.Repeat("x", blobnet.MaxBlobSize+1)
	data := archiveOf(t,
		file("blobs/"+other.String(), string(blob)),                     // forged
		file("blobs/"+blobnet.Sum([]byte(big)).String(), big),           // too large
		file("../../etc/passwd", "root"),                                // not a name
		file("blobs/"+strings.ToUpper(other.String()), "x"),             // nor this
		&tar.Header{Typeflag: tar.TypeDir, Name: "blobs/", Mode: 0o755}, // nor a file
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "blobs/" + other.String(), Linkname: "/etc/passwd"},
		file("/somewhere/../else/"+id.String(), string(blob)), // a blob, wherever it lies
	)
	dst, _ := store(t, 0)
	res, err := archive.Import(t.Context(), bytes.NewReader(data), dst)
	if err != nil || res.Blobs != 1 || res.Bad != 2 || len(res.Corrupt) != 2 || res.Corrupt[0] != other || res.Skipped != 4 {
		t.Errorf("Import did %+v (%v)", res, err)
	}
	have, err := dst.Has(t.Context(), id, other)
	if err != nil || !have[0] || have[1] {
		t.Errorf("the store has %v (%v)", have, err)
	}
}

func TestACutArchiveGivesWhatWasWhole(t *testing.T) {
	src, ids := store(t, 0, 1, 2, 3)
	data := export(t, src, ids)
	const block = 512 + 1024 // a blob of 1,001 to 1,003 bytes
	for _, cut := range []int{0, 1, 511, 512, 700, block - 1, block, block + 512, 2*block + 1, 3 * block, 3*block + 100, 3*block + 512} {
		dst, _ := store(t, 0)
		res, err := archive.Import(t.Context(), bytes.NewReader(data[:cut]), dst)
		whole := int64(cut) / block
		if cut%block >= 512+1003 { // the padding alone is missing
			whole++
		}
		if !errors.Is(err, archive.ErrTruncated) || res.Blobs != whole {
			t.Errorf("cut to %d bytes, Import did %+v (%v), want %d blobs", cut, res, err, whole)
		}
	}
	broken := slices.Clone(data)
	copy(broken[block:], "no header at all")
	dst, _ := store(t, 0)
	if res, err := archive.Import(t.Context(), bytes.NewReader(broken), dst); !errors.Is(err, archive.ErrTruncated) || res.Blobs != 1 {
		t.Errorf("with a broken header, Import did %+v (%v)", res, err)
	}
}

func TestAnImportEndsWithItsStoreOrContext(t *testing.T) {
	src, ids := store(t, 0, 1, 2, 3)
	data := export(t, src, ids)
	dst, _ := store(t, 500)
	if res, err := archive.Import(t.Context(), bytes.NewReader(data), dst); !errors.Is(err, blobnet.ErrFull) || res.Blobs != 0 {
		t.Errorf("into a full store, Import did %+v (%v)", res, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := archive.Import(ctx, bytes.NewReader(data), dst); !errors.Is(err, context.Canceled) {
		t.Errorf("Import gives %v, want context.Canceled", err)
	}
	if _, err := archive.Export(ctx, io.Discard, src, each(ids)); !errors.Is(err, context.Canceled) {
		t.Errorf("Export gives %v, want context.Canceled", err)
	}
	broken := errors.New("broken pipe")
	if _, err := archive.Import(t.Context(), iotest.ErrReader(broken), dst); !errors.Is(err, broken) || errors.Is(err, archive.ErrTruncated) {
		t.Errorf("Import gives %v, want the reader's error", err)
	}
}

// TestASizeIsNotBelieved: a header that claims much costs no memory.
func TestASizeIsNotBelieved(t *testing.T) {
	id, _ := storetest.Blob(1, 1000)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "blobs/" + id.String(), Size: math.MaxInt64 / 2}); err != nil {
		t.Fatal(err)
	}
	dst, _ := store(t, 0)
	res, err := archive.Import(t.Context(), &out, dst)
	if !errors.Is(err, archive.ErrTruncated) || res.Blobs != 0 || res.Bad != 1 {
		t.Errorf("Import did %+v (%v)", res, err)
	}
}

func FuzzImport(f *testing.F) {
	src, ids := store(f, 0, 1, 2)
	data := export(f, src, ids)
	f.Add(data)
	f.Add(data[:1700])
	f.Add([]byte{})
	id, blob := storetest.Blob(1, 8)
	f.Add(archiveOf(f, file(id.String(), string(blob)), file("x/"+id.String(), "forged"), &tar.Header{Typeflag: tar.TypeDir, Name: "d/"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		dst, _ := store(t, 0)
		res, err := archive.Import(t.Context(), bytes.NewReader(data), dst)
		if err != nil && !errors.Is(err, archive.ErrTruncated) {
			t.Errorf("Import gives %v", err)
		}
		var ids []blobnet.ID
		if err := dst.List(t.Context(), func(info blobnet.Info) error { ids = append(ids, info.ID); return nil }); err != nil {
			t.Fatal(err)
		}
		if int64(len(ids)) > res.Blobs {
			t.Errorf("%d blobs are stored, %+v was said", len(ids), res)
		}
		again, _ := store(t, 0)
		if res, err := archive.Import(t.Context(), bytes.NewReader(export(t, dst, ids)), again); err != nil || res.Blobs != int64(len(ids)) {
			t.Errorf("exporting and importing %d blobs did %+v (%v)", len(ids), res, err)
		}
	})
}
