package exchange

import (
	"context"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Exchange is one node's end of the blob protocol. All methods may be called
// from many goroutines at once.
type Exchange struct {
	cfg     Config
	buffers *buffers
	ctx     context.Context // ends when the exchange is closed
	stop    context.CancelFunc
	running sync.WaitGroup // every goroutine of every stream
	crowd   crowd
	proving chan struct{} // holds a token for each proof that is being made
	proofs  sync.Pool     // of *[]byte: proofs that were asked for, as they come

	mu      sync.Mutex // guards what follows; never held across I/O
	closed  bool
	over    chan struct{} // not nil once Run was called; closed when the host serves no more
	clients map[peer.ID]*client
	served  map[peer.ID]*served
	streams map[*session]struct{} // that are served, without those made to leave
	leaving int                   // streams that were made to leave and have not ended
}

// maxProving is how many proofs are made at once: each has a whole blob in memory
// beside what was borrowed, and a processor at work. Of these at most
// maxProvingOfPeer are for one peer, since a proof costs it little to ask for.
const maxProving, maxProvingOfPeer = 4, 2

// New returns an Exchange that does not serve yet, but whose Peers work. Close
// it, or let its Run end, to end every stream.
func New(cfg Config) (*Exchange, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Exchange{
		cfg:     cfg,
		buffers: newBuffers(cfg.MaxMemory),
		proving: make(chan struct{}, maxProving),
		clients: make(map[peer.ID]*client),
		served:  make(map[peer.ID]*served),
		streams: make(map[*session]struct{}),
	}
	e.proofs.New = func() any { return new([]byte) }
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e, nil
}

// Run serves the store's blobs to peers until ctx ends or Close is called, and
// returns nil after every stream and goroutine of the exchange, those of its
// Peers included, has ended. It may be called once.
func (e *Exchange) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.closed || e.over != nil {
		e.mu.Unlock()
		return errors.New("running exchange: it runs or is closed already")
	}
	over := make(chan struct{})
	e.over = over
	e.mu.Unlock()

	e.cfg.Host.SetStreamHandler(Protocol, e.accept)
	select {
	case <-ctx.Done():
	case <-e.ctx.Done():
	}
	e.cfg.Host.RemoveStreamHandler(Protocol)
	close(over)
	return e.Close()
}

// Close ends every stream and waits for every goroutine of the exchange. Gets
// under way return blobnet.ErrClosed.
func (e *Exchange) Close() error {
	e.mu.Lock()
	e.closed = true
	over := e.over
	e.mu.Unlock()
	e.stop()
	if over != nil {
		<-over
	}
	e.running.Wait()
	return nil
}

// enter counts a goroutine that Close will wait for, unless it is too late.
func (e *Exchange) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.running.Add(1)
	return true
}

func (e *Exchange) event(ev Event) {
	if e.cfg.OnEvent != nil {
		e.cfg.OnEvent(ev)
	}
}
