package sdk

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

type about struct {
	pluginv1.UnimplementedPluginServer
	p Plugin
}

func (a *about) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return &pluginv1.DescribeResponse{Id: a.p.ID, Version: a.p.Version, Hooks: a.p.Hooks()}, nil
}

func (a *about) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	if a.p.Configure != nil {
		has := func(c plugins.Capability) bool { return slices.Contains(req.Granted, c.Proto()) }
		if err := a.p.Configure(ctx, Setup{Config: req.Config, State: req.StateFolder, Has: has}); err != nil {
			return nil, err
		}
	}
	return &pluginv1.ConfigureResponse{}, nil
}

type filter struct {
	pluginv1.UnimplementedFilterServer
	do func(context.Context, *Release) (*Verdict, error)
}

func (f filter) FilterManifest(ctx context.Context, req *pluginv1.FilterManifestRequest) (*pluginv1.FilterManifestResponse, error) {
	res := &pluginv1.FilterManifestResponse{}
	for _, r := range req.Releases {
		v, err := f.do(ctx, r)
		if err != nil {
			return nil, err
		}
		if v == nil {
			v = Allow()
		}
		res.Verdicts = append(res.Verdicts, v)
	}
	return res, nil
}

type planner struct {
	pluginv1.UnimplementedPlannerServer
	do func(context.Context, *Plan) ([]*PlanChange, error)
}

func (p planner) PlanFetch(ctx context.Context, req *Plan) (*pluginv1.PlanFetchResponse, error) {
	changes, err := p.do(ctx, req)
	if err != nil {
		return nil, err
	}
	return &pluginv1.PlanFetchResponse{Changes: changes}, nil
}

type scanner struct {
	pluginv1.UnimplementedScannerServer
	do func(context.Context, *ScanStart, io.Reader) (*Verdict, error)
}

func (s scanner) ScanContent(stream grpc.ClientStreamingServer[pluginv1.ScanContentRequest, pluginv1.ScanContentResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetStart() == nil {
		return status.Error(codes.InvalidArgument, "the stream does not begin with its start")
	}
	var content io.Reader = &chunks{next: func() ([]byte, error) {
		req, err := stream.Recv()
		return req.GetData(), err
	}}
	if path := first.GetStart().GetPipe(); path != "" {
		pipe, err := os.OpenFile(path, os.O_RDONLY|pipeFlags, 0)
		if err != nil {
			return err
		}
		defer pipe.Close()
		defer context.AfterFunc(stream.Context(), func() { _ = pipe.SetReadDeadline(time.Unix(1, 0)) })()
		content = io.LimitReader(pipe, int64(first.GetStart().GetEntry().GetSize()))
	}
	v, err := s.do(stream.Context(), first.GetStart(), content)
	if err != nil {
		return err
	}
	if v == nil {
		v = Allow()
	}
	return stream.SendAndClose(&pluginv1.ScanContentResponse{Decision: v.Decision, Reason: v.Reason, Labels: v.Labels})
}

// chunks reads what comes in messages.
type chunks struct {
	next func() ([]byte, error)
	rest []byte
	err  error
}

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.rest, c.err = c.next()
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// WriteTo spares a copy.
func (c *chunks) WriteTo(w io.Writer) (total int64, err error) {
	for {
		n, err := w.Write(c.rest)
		total, c.rest = total+int64(n), c.rest[n:]
		if err != nil {
			return total, err
		}
		if errors.Is(c.err, io.EOF) {
			return total, nil
		}
		if c.err != nil {
			return total, c.err
		}
		c.rest, c.err = c.next()
	}
}
