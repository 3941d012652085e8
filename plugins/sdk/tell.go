package sdk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

type renderer struct {
	pluginv1.UnimplementedRendererServer
	do func(context.Context, *RenderStart, iter.Seq2[*Release, error], io.Writer) (string, error)
}

func (r renderer) Render(stream grpc.BidiStreamingServer[pluginv1.RenderRequest, pluginv1.RenderResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetStart() == nil {
		return status.Error(codes.InvalidArgument, "the stream does not begin with its start")
	}
	releases := func(yield func(*Release, error) bool) {
		for {
			req, err := stream.Recv()
			if errors.Is(err, io.EOF) || !yield(req.GetRelease(), err) || err != nil {
				return
			}
		}
	}
	// The media type goes before the document, and is known after it.
	var document bytes.Buffer
	mediaType, err := r.do(stream.Context(), first.GetStart(), releases, &document)
	if err != nil {
		return err
	}
	if err := stream.Send(&pluginv1.RenderResponse{MediaType: mediaType}); err != nil {
		return err
	}
	return send(&document, func(data []byte) error { return stream.Send(&pluginv1.RenderResponse{Data: data}) })
}

type observer struct {
	pluginv1.UnimplementedObserverServer
	do func(context.Context, *Event) error
}

func (o observer) Observe(stream grpc.BidiStreamingServer[pluginv1.ObserveRequest, pluginv1.ObserveResponse]) error {
	for {
		e, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = o.do(stream.Context(), e)
		}
		if err == nil {
			err = stream.Send(&pluginv1.ObserveResponse{Cursor: e.Cursor})
		}
		if err != nil {
			return err
		}
	}
}
