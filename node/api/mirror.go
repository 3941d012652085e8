package api

import (
	"context"

	"github.com/anonymous-media-library/aml/node"
)

// What the verbs of mirrors take and give.
type (
	MirrorRequest = node.MirrorRequest
	MirrorResult  = node.MirrorResult
	MirrorEvent   = node.MirrorEvent
)

// Mirror keeps and serves channels until ctx ends.
func (c *Client) Mirror(ctx context.Context, req MirrorRequest, on func(Event)) (MirrorResult, error) {
	return call[MirrorResult](ctx, c, "mirror", req, on)
}
