package journal

// InspectNow lets the next commit look whether its segment is still there.
func InspectNow(j *Journal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.inspected = j.inspected.Add(-2e9)
}

// VerifyIn gives the problems that Look finds, on another file system.
func VerifyIn(fsys FS, dir string) ([]Problem, error) {
	s, err := survey(fsys, dir)
	return s.Problems, err
}
