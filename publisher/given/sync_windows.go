package given

func syncDir(string) error { return nil }
