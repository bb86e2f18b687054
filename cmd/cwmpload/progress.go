package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// showProgress tells every second on a terminal, in one line, else every five
// seconds in lines of their own, how far it is. stop returns when the last line
// is written.
func showProgress(w io.Writer, total int, counts func() (done, failed int64)) (stop func()) {
	every, end := 5*time.Second, "\n"
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		every, end = time.Second, "\r"
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		began, last, lines := time.Now(), int64(0), 0
		for {
			select {
			case <-quit:
				if lines > 0 && end == "\r" {
					fmt.Fprintln(w)
				}
				return
			case <-ticker.C:
			}
			done, failed := counts()
			lines++
			fmt.Fprintf(w, "%4.0fs  %d of %d  %d/s  %d failed   %s", time.Since(began).Seconds(), done, total,
				(done-last)*int64(time.Second)/int64(every), failed, end)
			last = done
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}
