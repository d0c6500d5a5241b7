/* The memory that collected items are written to, for the Spin model checker: include/shard/detail/spill.hpp
 * and what the board does with states that name places in it. README.md says how to run and read it.
 *
 * Pieces are numbered from 1 on, and each has room for CAP items. Chunk c is slot c % SLOTS's: how chunks are
 * claimed is board.pml's. The owner of slot 0 may die before any step; whoever follows it knows what is shared,
 * and nothing else. It runs a chunk whole, or unit by unit if an owner has died in it, and commits each unit. In
 * the latter case kernels may throw. That a commit is one store is board.pml's, and orders.pml's, too.
 *
 * Every name tested below with #ifdef is a planted mistake: see `run`. */

#ifndef CHUNKS
#define CHUNKS 2
#endif
#ifndef UNITS
#define UNITS 3
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef THROWS
#define THROWS 0
#endif
#define SLOTS 2
#define CAP 2
#define PIECES 14             /* more are never taken in these runs */

/* The item of unit u. */
#define VALUE(c, u) (1 + (c) * UNITS + (u))

typedef list { byte first; byte last; byte in_last; byte count };

/* The spill: spill::head, and its pieces. */
byte taken, reserved;
byte next[PIECES + 1];
byte cell[(PIECES + 1) * CAP];

/* The board. */
list partial[CHUNKS];         /* as the last attempt has stored it */
list published[CHUNKS];       /* as it was committed, with so many units */
byte committed[CHUNKS];
byte lost[CHUNKS];            /* a bit for each unit */
bool begun[CHUNKS];
byte mark[SLOTS];             /* for a mistake: what was taken at a slot's last commit */

byte kills, throws;
bool final[(PIECES + 1) * CAP];  /* of what is committed, nothing is written to again */

/* Instead of the next step. Which slot's owner it is makes no difference. */
#define DIES _pid == 0 && kills < KILLS -> kills++; goto dead

#define COPY(to, from) \
  to.first = from.first; to.last = from.last; to.in_last = from.in_last; to.count = from.count
#define EMPTY(which) which.first = 0; which.last = 0; which.in_last = 0; which.count = 0

/* What is published of a chunk is exactly the items of its committed units, without those that are lost. */
inline check_chunk(which) {
  c_piece = published[which].first;
  c_at = 0;
  c_left = published[which].count;
  c_unit = 0;
  do
  :: c_unit < committed[which] && (lost[which] & (1 << c_unit)) == 0 ->
     assert(c_left > 0);
     if
     :: c_at == CAP -> c_piece = next[c_piece]; c_at = 0
     :: else -> skip
     fi;
     assert(c_piece > 0 && cell[c_piece * CAP + c_at] == VALUE(which, c_unit));
     final[c_piece * CAP + c_at] = true;
     c_at++;
     c_left--;
     c_unit++
  :: c_unit < committed[which] && (lost[which] & (1 << c_unit)) != 0 -> c_unit++
  :: else -> break
  od;
  assert(c_left == 0);
  c_piece = 0; c_at = 0; c_unit = 0
}

inline commit(from, units) {
  d_step {
    COPY(published[chunk], from);
    committed[chunk] = units;
    mark[_pid] = taken;
    check_chunk(chunk)
  }
}

/* spill::take: what is taken exists before. */
inline take() {
  do
  :: DIES
  :: atomic {
       seen == 0 -> seen = taken + 1;
#ifndef UNRESERVED
       reserved = (seen > reserved -> seen : reserved)
#endif
     }
  :: seen != 0 ->
     atomic {
#ifdef TAKEN_TWICE
       taken = seen; piece = seen; seen = 0; break
#else
       if
       :: taken + 1 == seen -> taken = seen; piece = seen; seen = 0; assert(piece <= PIECES); break
       :: else -> seen = 0
       fi
#endif
     }
  od
}

/* spilling::push. */
inline push(what) {
  if
  :: now.last == 0 || now.in_last == CAP ->
     take();
     if
     :: DIES
     :: d_step {
          if
          :: now.last == 0 -> now.first = piece
          :: else -> next[now.last] = piece
          fi;
          now.last = piece;
          now.in_last = 0;
          piece = 0
        }
     fi
  :: else -> skip
  fi;
  if
  :: DIES
  :: d_step {
       assert(now.last <= reserved);
#ifdef COMMIT_FIRST
       if
       :: late != 0 -> cell[late] = late_value
       :: else -> skip
       fi;
       late = now.last * CAP + now.in_last;
       late_value = what;
#else
       assert(!final[now.last * CAP + now.in_last]);
       cell[now.last * CAP + now.in_last] = what;
#endif
       now.in_last++;
       now.count++
     }
  fi
}

#ifdef COMMIT_FIRST
#define WRITE_LATE if :: late != 0 -> cell[late] = late_value; late = 0 :: else -> skip fi
#else
#define WRITE_LATE skip
#endif

active [SLOTS] proctype owner() {
  list now, before;
  byte chunk, unit, piece, seen, late, late_value;
  byte c_piece, c_at, c_left, c_unit;
  bool walking;

resume:
  skip;
  d_step {
    EMPTY(now);
    EMPTY(before);
    piece = 0; seen = 0; late = 0; late_value = 0; walking = false;
    chunk = _pid;
    do
    :: chunk < CHUNKS && committed[chunk] == UNITS -> chunk = chunk + SLOTS
    :: else -> break
    od;
    unit = 0
  };
  if
  :: chunk >= CHUNKS -> goto over
  :: chunk < CHUNKS && begun[chunk] -> walking = true
  :: chunk < CHUNKS && committed[chunk] == 0 -> skip
  fi;
  if
  :: !walking ->
     begun[chunk] = true;
#ifdef STALE_PARTIAL
     d_step { COPY(now, partial[chunk]) };
#endif
     do
     :: unit < UNITS -> push(VALUE(chunk, unit)); unit++
     :: else -> break
     od;
     if
     :: DIES
     :: d_step { COPY(partial[chunk], now) }
     fi;
     if
     :: DIES
     :: commit(now, UNITS)
     fi;
     WRITE_LATE
  :: else ->
     /* The partial that is published with the units so far. */
     d_step { COPY(now, published[chunk]); unit = committed[chunk] };
#ifdef GOES_ON_BELOW
     now.in_last = 0;
#endif
     do
     :: unit < UNITS ->
        d_step { COPY(before, now) };
        push(VALUE(chunk, unit));
        if
        :: d_step {
             throws < THROWS -> throws++;
#ifndef THROW_KEPT
             COPY(now, before);
#endif
             lost[chunk] = lost[chunk] | (1 << unit)
           }
        :: true -> skip
        fi;
        unit++;
        if
        :: DIES
        :: commit(now, unit)
        fi;
        WRITE_LATE
     :: else -> break
     od
  fi;
  goto resume;

dead:
#ifdef REWOUND
  /* Whoever follows gives back what the dead one had taken. */
  taken = (mark[_pid] < taken -> mark[_pid] : taken);
#endif
  goto resume;

over:
  skip;
  d_step {
    chunk = _pid;
    do
    :: chunk < CHUNKS -> check_chunk(chunk); chunk = chunk + SLOTS
    :: else -> break
    od
  }
}
