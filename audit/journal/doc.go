// Package journal keeps records, durable and in order, on the way to the
// stores: a ticket is released only when its record is on the medium, and the
// record stays until every cursor has committed it. It knows nothing of what
// the records say.
//
// # Directory
//
// A journal is a directory with
//
//	lock                  held with flock(2) by the one process that writes
//	log                   names the log
//	<first record>.jrn    segments, the number in 16 decimal digits
//	cursor-<name>         how far one reader has come
//	gaps                  damage that was passed over by command
//	<segment>.damaged-<n> the segment as it was found damaged at byte n
//	*.tmp                 files that are not finished; removed at the next start
//
// Records are numbered from 1 without holes but those that gaps names. A file gets its name only when
// its bytes are on the medium, and the directory is synced before anything is
// said to depend on the name.
//
// # Segment, version 1
//
// Numbers are big-endian; sizes are in bytes; times are microseconds since
// 1970-01-01 UTC. A segment is a header and at least one frame.
//
//	header
//	  0   8  magic "cwmpjrnl"
//	  8   2  version, 1
//	 10   2  flags; bit 0: the segment before this one is suspect
//	 12  16  log id
//	 28   8  number of the first record, the same as in the file's name
//	 36   8  time of the record before that one, 0 where there is none
//	 44   4  CRC32C of bytes 0 to 43
//
// A frame is one commit.
//
//	frame
//	  0   4  length of the whole frame
//	  4   4  CRC32C of bytes 0 to 3 and 8 to the end
//	  8   4  flags, 0
//	 12   4  count of records, at least 1
//	 16   8  number of its first record
//	 24   8  time of its last record
//	 32      the records, one behind the other, filling the frame:
//	          0  16  salt, random
//	         16   4  length of the bytes
//	         20      the bytes
//
// CRC32C is the Castagnoli polynomial as in RFC 3720. That of a frame does not
// begin anew but goes on from its segment's header: it is the checksum of the
// 44 bytes of the header, then the frame's. So a frame of another segment,
// which a reused disk block may bring to light, never passes.
//
// Version, header flags and frame flags that a reader does not know are
// refused. The first record of a frame is the one behind the last of the frame
// before. A frame lies in one segment.
//
// # Where segments overlap
//
// A segment counts up to the record before the next segment's first. What it
// holds from there on is void, and the next segment has flag 1 where that can
// be: it holds the same records again, or others that took their numbers, or
// an unfinished frame. There are two ways to come to this.
//
//   - A write or sync failed. The file is given up and, if possible, cut
//     behind its last commit; the records go into a new segment. A file is
//     never synced again after a failure, because the system may have dropped
//     the pages that it could not write and yet report success.
//   - A journal was opened. The last frame of its last segment is written once
//     more, into a new segment, since what can be read may be in the page
//     cache only. Where that frame is the segment's only one the new segment
//     has the same name and replaces it.
//
// # The end of the journal
//
// Frames are written and synced one after the other, and the first one of a
// segment before the segment has its name. So a crash leaves at most one
// unfinished frame, the last of the last segment but not its first: it is cut
// short or fails its checksum, and no whole frame is behind it. Open cuts it
// off, unless a cursor was given its records. Everything else is damage: it
// stops whoever reads with a *CorruptionError, and nothing is discarded.
//
// # Damage that was passed over
//
// Skip lets readers go on behind damage. It changes no segment: it keeps a copy
// and adds a line to the file gaps, which says where reading goes on when
// nothing good stands at that byte and that record is due.
//
//	cwmpgate journal gaps 1
//	gap <segment> <byte> <record due> <next record> <its byte> <seed> told|untold
//
// The records from the one due up to the next are missing. It is the whole
// frame of the lowest number due, wherever in the segment it stands; where none
// is, reading goes on at the file's end with the next segment. Seed is the
// header's checksum, for a segment whose header is what is damaged. A line is
// untold until a record of the gap is durable.
//
// # Text files
//
// log, cursors and gaps are lines of words separated by one space, each ending with
// a line feed. The last line is "crc32c" and the CRC32C of the lines before it
// in 8 hex digits.
//
//	cwmpgate journal 1                        cwmpgate journal cursor 1
//	earlier <log id> <its last record>        committed <record>
//	log <log id>                              cut <log id> <first> <last>
//	place <text>
//
// A log id is 128 random bits in 32 hex digits. There is an "earlier" line for
// each log that was adopted with the directory, oldest first; its records keep
// its id, and a new segment begins with the first record of the next log.
// place tells this file from a copy of it and is absent where the file system
// cannot. A cursor has a cut line while a cut is open.
package journal
