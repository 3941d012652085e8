//go:build unix && !linux

package host

func systemKinds() map[string]kind { return nil }
