package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cwmpgate/cwmpgate/proxy/auth"
)

// passwdFlags are what lines passwd writes.
type passwdFlags struct {
	realm  string
	digest []string
	basic  bool
	remove bool
}

func newPasswd() *cobra.Command {
	var f passwdFlags
	cmd := &cobra.Command{
		Use: "passwd FILE USER", Short: "Set a CPE's password in a file of users", Args: cobra.ExactArgs(2),
		Long: `Passwd writes a user's password, hashed, to a file that tenants[].authentication
names as users. It asks for the password on a terminal, or reads the first line of
standard input. The file is made with mode 0600 where it is absent, and replaced as
a whole; a gateway that runs reads it anew by itself.

Digest needs a hash that is as good as the password itself at this realm: keep
the file from others. What the user had before in the realm, and for Basic, is
taken out.`,
		Example: `  cwmpgate passwd /etc/cwmpgate/users 00005E-A1B2C3
  printf '%s\n' "$PASSWORD" | cwmpgate passwd --basic /etc/cwmpgate/users 00005E-A1B2C3
  cwmpgate passwd --delete /etc/cwmpgate/users 00005E-A1B2C3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.basic && !cmd.Flags().Changed("digest") {
				f.digest = nil
			}
			return f.run(cmd, args[0], args[1])
		},
	}
	p := cmd.Flags()
	p.StringVar(&f.realm, "realm", "cwmpgate", "`realm` of Digest, as authentication.realm says")
	p.StringSliceVar(&f.digest, "digest", []string{auth.KindMD5, auth.KindSHA256}, "`algorithms` of Digest to hash for: md5, sha-256")
	p.BoolVar(&f.basic, "basic", false, "hash for Basic, by bcrypt; for Digest as well only with --digest")
	p.BoolVar(&f.remove, "delete", false, "take the user out")
	return cmd
}

func (f *passwdFlags) run(cmd *cobra.Command, file, user string) error {
	kinds := slices.Clone(f.digest)
	if slices.Contains(kinds, auth.KindBasic) {
		return usagef("--digest takes %s and %s", auth.KindMD5, auth.KindSHA256)
	}
	if f.basic {
		kinds = append(kinds, auth.KindBasic)
	}
	var lines []string
	realm := ""
	if !f.remove {
		if realm = f.realm; len(kinds) == 0 {
			return usagef("neither --digest nor --basic: there is nothing to write")
		}
		// Before it is typed, what else is wrong.
		if _, err := auth.Lines(user, "x", f.realm, f.digest); err != nil {
			return &usageError{err}
		}
		password, err := readPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
		if err != nil {
			return fmt.Errorf("read the password: %w", err)
		}
		if lines, err = auth.Lines(user, password, f.realm, kinds); err != nil {
			return err
		}
	}
	// Through a link, the file that it leads to is replaced.
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	text, err := os.ReadFile(file)
	if err != nil && (f.remove || !errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("read users: %w", err)
	}
	text, found := auth.Edit(text, user, realm, lines)
	if f.remove && !found {
		return fmt.Errorf("%s has no user %q", file, user)
	}
	return replaceFile(file, text)
}

// readPassword asks twice on a terminal, or else reads one line.
func readPassword(in io.Reader, prompt io.Writer) (string, error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(in, 4<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	ask := func(what string) (string, error) {
		fmt.Fprint(prompt, what)
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(prompt)
		return string(text), err
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	again, err := ask("Once more: ")
	if err == nil && again != first {
		err = errors.New("they differ")
	}
	return first, err
}

// replaceFile puts text in a file's place at once, with mode 0600.
func replaceFile(file string, text []byte) error {
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, "."+filepath.Base(file)+"-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	_, err = f.Write(text)
	if old, serr := os.Stat(file); serr == nil {
		err = errors.Join(err, keepOwner(f, old)) // who reads it may be another than who writes it
	}
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write users: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	defer d.Close()
	return d.Sync()
}
