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
	FleetRequest  = node.FleetRequest

	MirrorStatusRequest = node.MirrorStatusRequest
	MirrorStatusResult  = node.MirrorStatusResult
	MirroredChannel     = node.MirroredChannel
)

// CheckFleet says what is wrong with a group that a request will name, before a node
// is started for it.
func CheckFleet(f FleetRequest) error { return orNil(node.CheckFleet(f)) }

// MirrorStatus says how well channels are kept.
func (c *Client) MirrorStatus(ctx context.Context, req MirrorStatusRequest) (MirrorStatusResult, error) {
	return call[MirrorStatusResult](ctx, c, "mirror-status", req, nil)
}

// Mirror keeps and serves channels until ctx ends.
func (c *Client) Mirror(ctx context.Context, req MirrorRequest, on func(Event)) (MirrorResult, error) {
	return call[MirrorResult](ctx, c, "mirror", req, on)
}
