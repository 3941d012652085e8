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

	MirrorBindingRequest = node.MirrorBindingRequest
	MirrorBoundInfo      = node.MirrorBoundInfo
	MirrorListResult     = node.MirrorListResult
	MirrorPushResult     = node.MirrorPushResult
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

// MirrorAdd keeps a plugin filled with a channel.
func (c *Client) MirrorAdd(ctx context.Context, req MirrorBindingRequest) (MirrorBoundInfo, error) {
	return call[MirrorBoundInfo](ctx, c, "mirror-add", req, nil)
}

// MirrorList lists such bindings.
func (c *Client) MirrorList(ctx context.Context) (MirrorListResult, error) {
	return call[MirrorListResult](ctx, c, "mirror-list", None{}, nil)
}

// MirrorPush does now what plugins are owed.
func (c *Client) MirrorPush(ctx context.Context, req MirrorBindingRequest, on func(Event)) (MirrorPushResult, error) {
	return call[MirrorPushResult](ctx, c, "mirror-push", req, on)
}

// MirrorRemove ends a binding.
func (c *Client) MirrorRemove(ctx context.Context, req MirrorBindingRequest) (MirrorPushResult, error) {
	return call[MirrorPushResult](ctx, c, "mirror-remove", req, nil)
}
