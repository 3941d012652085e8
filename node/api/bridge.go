package api

import (
	"context"

	"github.com/anonymous-media-library/aml/node"
)

// What the verbs of the NATS bridge take and give.
type (
	NATSServer         = node.NATSServer
	BridgeNATSRequest  = node.BridgeNATSRequest
	BridgeNATSResult   = node.BridgeNATSResult
	BridgeEvent        = node.BridgeEvent
	DeadLettersRequest = node.DeadLettersRequest
	DeadLettersResult  = node.DeadLettersResult
)

// CheckNATS says what is wrong with a NATS server that a request will name, and
// with what the built-in one is to listen on, before a node is started for it.
func CheckNATS(s NATSServer, listen string) error { return orNil(node.CheckNATS(s, listen)) }

// BridgeNATS carries channels to and from NATS until ctx ends.
func (c *Client) BridgeNATS(ctx context.Context, req BridgeNATSRequest, on func(Event)) (BridgeNATSResult, error) {
	return call[BridgeNATSResult](ctx, c, "bridge-nats", req, on)
}

// DeadLetters lists jobs that failed for good, or puts one back.
func (c *Client) DeadLetters(ctx context.Context, req DeadLettersRequest) (DeadLettersResult, error) {
	return call[DeadLettersResult](ctx, c, "bridge-nats-dead", req, nil)
}
