package exchange

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// readBuffer is small, so that the data of a RESPONSE goes from the stream
// straight into the caller's memory, but for the piece that came with the head.
const readBuffer = 2 << 10

// errQuiet: the deadline passed and not a byte of a next frame had come.
var errQuiet = errors.New("no frame came in time")

// frameReader reads frames from a stream. It is used by one goroutine.
type frameReader struct {
	br      *bufio.Reader
	started func() // called when a frame has begun and is not all there: the time for the rest of it runs
	scratch []byte
	left    int          // bytes of the current RESPONSE's data that have not been read
	heads   atomic.Int64 // bytes of all frames, without the data of RESPONSEs; for anyone
}

func newFrameReader(r io.Reader, started func()) *frameReader {
	return &frameReader{br: bufio.NewReaderSize(r, readBuffer), started: started}
}

// next returns the next frame. The data of a RESPONSE is not in it: read it
// with data, or let the following next discard it. At the end of the stream
// between two frames the error is io.EOF, within one io.ErrUnexpectedEOF; at
// the deadline between two frames it is errQuiet and next may be called again,
// within one it is ErrStalled. A frame that breaks a rule gives ErrProtocol.
func (r *frameReader) next() (frame, error) {
	if err := r.discard(); err != nil {
		return frame{}, err
	}
	if _, err := r.br.Peek(1); err != nil {
		if isTimeout(err) {
			return frame{}, errQuiet
		}
		return frame{}, err
	}
	if !r.whole() {
		r.started()
	}
	var head [responseHead]byte
	if err := r.full(head[:headSize]); err != nil {
		return frame{}, err
	}
	typ := frameType(head[lengthSize])
	size, err := bodySize(binary.BigEndian.Uint32(head[:]), typ)
	if err != nil {
		return frame{}, err
	}
	if typ == typeResponse {
		if err := r.full(head[headSize:]); err != nil {
			return frame{}, err
		}
		f, err := parseResponse(head[headSize:], size)
		r.left = f.size
		r.heads.Add(responseHead)
		return f, err
	}
	if cap(r.scratch) < size {
		r.scratch = make([]byte, size, max(size, 64))
	}
	body := r.scratch[:size]
	if err := r.full(body); err != nil {
		return frame{}, err
	}
	r.heads.Add(int64(headSize + size))
	return parseBody(typ, body)
}

// whole reports whether the frame that has begun is in the buffer to its end.
func (r *frameReader) whole() bool {
	n := r.br.Buffered()
	if n < headSize {
		return false
	}
	head, err := r.br.Peek(headSize)
	return err == nil && uint64(n) >= lengthSize+uint64(binary.BigEndian.Uint32(head))
}

// data fills p, which is as long as the current RESPONSE's data.
func (r *frameReader) data(p []byte) error {
	if len(p) != r.left {
		return fmt.Errorf("reading %d of %d bytes of a response", len(p), r.left)
	}
	r.left = 0
	return r.full(p)
}

func (r *frameReader) discard() error {
	n, err := r.br.Discard(r.left)
	r.left -= n
	return within(err)
}

func (r *frameReader) full(p []byte) error {
	_, err := io.ReadFull(r.br, p)
	return within(err)
}

// within turns an error of reading into one of reading within a frame.
func within(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil && isTimeout(err):
		return ErrStalled
	}
	return err
}
