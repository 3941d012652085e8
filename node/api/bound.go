package api

import (
	"context"

	"github.com/anonymous-media-library/aml/node"
)

// What the verbs of sources and documents take and give.
type (
	SourceSpec       = node.SourceSpec
	SourceInfo       = node.SourceInfo
	SourceRequest    = node.SourceRequest
	SourceListResult = node.SourceListResult

	DocumentSpec       = node.DocumentSpec
	DocumentInfo       = node.DocumentInfo
	DocumentRequest    = node.DocumentRequest
	DocumentListResult = node.DocumentListResult

	MirrorCopyRequest = node.MirrorCopyRequest
)

// MirrorCopy copies blobs to or from a plugin that is a mirror.
func (c *Client) MirrorCopy(ctx context.Context, req MirrorCopyRequest, on func(Event)) (PushResult, error) {
	return call[PushResult](ctx, c, "blob-copy-plugin", req, on)
}

// SourceAdd binds a plugin that brings things to a channel.
func (c *Client) SourceAdd(ctx context.Context, spec SourceSpec) (SourceInfo, error) {
	return call[SourceInfo](ctx, c, "source-add", spec, nil)
}

// SourceList lists such bindings.
func (c *Client) SourceList(ctx context.Context) (SourceListResult, error) {
	return call[SourceListResult](ctx, c, "source-list", None{}, nil)
}

// SourceRemove ends one.
func (c *Client) SourceRemove(ctx context.Context, req SourceRequest) error {
	_, err := call[None](ctx, c, "source-remove", req, nil)
	return err
}

// SourcePoll polls now.
func (c *Client) SourcePoll(ctx context.Context, req SourceRequest, on func(Event)) (SourceListResult, error) {
	return call[SourceListResult](ctx, c, "source-poll", req, on)
}

// DocumentAdd has a plugin make a document of a channel.
func (c *Client) DocumentAdd(ctx context.Context, spec DocumentSpec) (DocumentInfo, error) {
	return call[DocumentInfo](ctx, c, "document-add", spec, nil)
}

// DocumentList lists documents.
func (c *Client) DocumentList(ctx context.Context) (DocumentListResult, error) {
	return call[DocumentListResult](ctx, c, "document-list", None{}, nil)
}

// DocumentRemove ends one.
func (c *Client) DocumentRemove(ctx context.Context, req DocumentRequest) error {
	_, err := call[None](ctx, c, "document-remove", req, nil)
	return err
}

// DocumentRender makes documents anew.
func (c *Client) DocumentRender(ctx context.Context, req DocumentRequest) (DocumentListResult, error) {
	return call[DocumentListResult](ctx, c, "document-render", req, nil)
}
