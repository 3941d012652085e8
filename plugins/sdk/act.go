package sdk

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

type gate struct {
	pluginv1.UnimplementedGateServer
	do func(context.Context, string, *Draft) error
}

func (g gate) BeforePublish(ctx context.Context, req *pluginv1.BeforePublishRequest) (*pluginv1.BeforePublishResponse, error) {
	draft := req.Draft
	if draft == nil {
		draft = &Draft{}
	}
	err := g.do(ctx, req.Channel, draft)
	var denied Denied
	if errors.As(err, &denied) {
		return &pluginv1.BeforePublishResponse{Deny: true, Reason: string(denied)}, nil
	}
	if err != nil {
		return nil, err
	}
	draft.Earlier = nil // the host has it
	return &pluginv1.BeforePublishResponse{Draft: draft}, nil
}

type signer struct {
	pluginv1.UnimplementedSignerServer
	do Signer
}

func (s signer) PublicKeys(ctx context.Context, _ *pluginv1.PublicKeysRequest) (*pluginv1.PublicKeysResponse, error) {
	keys, err := s.do.PublicKeys(ctx)
	return &pluginv1.PublicKeysResponse{Keys: keys}, err
}

func (s signer) Sign(ctx context.Context, req *pluginv1.SignRequest) (*pluginv1.SignResponse, error) {
	sig, err := s.do.Sign(ctx, req.Key, req.Message)
	return &pluginv1.SignResponse{Signature: sig}, err
}

type source struct {
	pluginv1.UnimplementedSourceServer
	do Source
}

func (s source) Poll(req *pluginv1.PollRequest, stream grpc.ServerStreamingServer[pluginv1.PollResponse]) error {
	return s.do.Poll(stream.Context(), req.From, req.Cursor, func(item *Item, cursor []byte) error {
		return stream.Send(&pluginv1.PollResponse{Item: item, Cursor: cursor})
	})
}

func (s source) Open(req *pluginv1.OpenRequest, stream grpc.ServerStreamingServer[pluginv1.OpenResponse]) error {
	r, err := s.do.Open(stream.Context(), req.Handle, int64(req.Offset))
	if err != nil {
		return err
	}
	defer r.Close()
	return send(r, func(data []byte) error { return stream.Send(&pluginv1.OpenResponse{Data: data}) })
}

// sendSize is how many bytes go into one message.
const sendSize = 256 << 10

// send streams what r has.
func send(r io.Reader, one func([]byte) error) error {
	buf := make([]byte, sendSize)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := one(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

type mirror struct {
	pluginv1.UnimplementedMirrorServer
	do Mirror
}

func blobID(raw []byte) (id [32]byte, err error) {
	if len(raw) != len(id) {
		return id, status.Error(codes.InvalidArgument, "that is no blob's id")
	}
	return [32]byte(raw), nil
}

func (m mirror) Put(stream grpc.ClientStreamingServer[pluginv1.PutRequest, pluginv1.PutResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	id, err := blobID(first.Id)
	if err != nil {
		return err
	}
	data := &chunks{rest: first.Data, next: func() ([]byte, error) {
		req, err := stream.Recv()
		return req.GetData(), err
	}}
	if err := m.do.Put(stream.Context(), id, int64(first.Size), data); err != nil {
		return err
	}
	return stream.SendAndClose(&pluginv1.PutResponse{})
}

func (m mirror) Has(ctx context.Context, req *pluginv1.HasRequest) (*pluginv1.HasResponse, error) {
	res := &pluginv1.HasResponse{Has: make([]bool, len(req.Ids))}
	return res, eachBlob(ctx, req.Ids, func(ctx context.Context, i int, id [32]byte) (err error) {
		res.Has[i], err = m.do.Has(ctx, id)
		return err
	})
}

// blobsAtOnce is how many blobs of one call are asked about at the same time: where
// each is a question to a server, 1,024 in a row would take too long.
const blobsAtOnce = 16

func eachBlob(ctx context.Context, ids [][]byte, do func(ctx context.Context, i int, id [32]byte) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobsAtOnce)
	for i, raw := range ids {
		id, err := blobID(raw)
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return do(ctx, i, id)
		})
	}
	return group.Wait()
}

func (m mirror) Get(req *pluginv1.GetRequest, stream grpc.ServerStreamingServer[pluginv1.GetResponse]) error {
	id, err := blobID(req.Id)
	if err != nil {
		return err
	}
	r, err := m.do.Get(stream.Context(), id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	return send(r, func(data []byte) error { return stream.Send(&pluginv1.GetResponse{Data: data}) })
}

func (m mirror) Delete(ctx context.Context, req *pluginv1.DeleteRequest) (*pluginv1.DeleteResponse, error) {
	return &pluginv1.DeleteResponse{}, eachBlob(ctx, req.Ids, func(ctx context.Context, _ int, id [32]byte) error {
		if err := m.do.Delete(ctx, id); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
