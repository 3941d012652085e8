package api

import (
	"context"

	"github.com/anonymous-media-library/aml/node"
)

// What the plugin verbs take and give.
type (
	PluginGrant          = node.PluginGrant
	PluginInstallRequest = node.PluginInstallRequest
	PluginRequest        = node.PluginRequest
	PluginConfigRequest  = node.PluginConfigRequest
	PluginRemoveRequest  = node.PluginRemoveRequest
	PluginInfo           = node.PluginInfo
	PluginListResult     = node.PluginListResult
	PluginSetting        = node.PluginSetting
	PluginStatus         = node.PluginStatus
	PluginStats          = node.PluginStats
	PluginLogsRequest    = node.PluginLogsRequest
	PluginLogsResult     = node.PluginLogsResult
	LogEvent             = node.LogEvent
	FailingInfo          = node.FailingInfo
	BundledPlugin        = node.BundledPlugin
	PluginKeyRequest     = node.PluginKeyRequest
)

// BundledMark begins the name of a bundled plugin in a PluginInstallRequest.
const BundledMark = node.BundledMark

// PluginInstall installs a plugin.
func (c *Client) PluginInstall(ctx context.Context, req PluginInstallRequest, on func(Event)) (PluginInfo, error) {
	return call[PluginInfo](ctx, c, "plugin-install", req, on)
}

// PluginList names the installed plugins.
func (c *Client) PluginList(ctx context.Context) (PluginListResult, error) {
	return call[PluginListResult](ctx, c, "plugin-list", None{}, nil)
}

// PluginEnable lets a plugin run.
func (c *Client) PluginEnable(ctx context.Context, req PluginRequest) (PluginInfo, error) {
	return call[PluginInfo](ctx, c, "plugin-enable", req, nil)
}

// PluginDisable ends one.
func (c *Client) PluginDisable(ctx context.Context, req PluginRequest) (PluginInfo, error) {
	return call[PluginInfo](ctx, c, "plugin-disable", req, nil)
}

// PluginConfig shows and sets a plugin's values.
func (c *Client) PluginConfig(ctx context.Context, req PluginConfigRequest) (PluginInfo, error) {
	return call[PluginInfo](ctx, c, "plugin-config", req, nil)
}

// PluginRemove takes a plugin away.
func (c *Client) PluginRemove(ctx context.Context, req PluginRemoveRequest) error {
	_, err := call[None](ctx, c, "plugin-remove", req, nil)
	return err
}

// PluginVerify compares plugins' files with what was installed.
func (c *Client) PluginVerify(ctx context.Context, req PluginRequest) (PluginListResult, error) {
	return call[PluginListResult](ctx, c, "plugin-verify", req, nil)
}

// PluginLogs is the end of what a plugin has said, and with Follow, as events, what it
// says.
func (c *Client) PluginLogs(ctx context.Context, req PluginLogsRequest, on func(Event)) (PluginLogsResult, error) {
	return call[PluginLogsResult](ctx, c, "plugin-logs", req, on)
}

// PluginKey takes a key that a plugin holds into the ring.
func (c *Client) PluginKey(ctx context.Context, req PluginKeyRequest) (KeyInfo, error) {
	return call[KeyInfo](ctx, c, "plugin-key", req, nil)
}
