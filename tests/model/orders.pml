/* The board's weak memory orders, for the Spin model checker: a live reader beside an owner that publishes,
 * and (RECLAIM) recovery beside an owner that claims. README.md says how to run and read it.
 *
 * Memory is that of C++, for one thread that stores and one that loads. A location is its history: the
 * stores to it, in their order. A load may return any of them that is not older than what its thread has
 * read there, or knows. What a thread knows is how many steps of the other one happened before; it learns
 * that with a load of what was stored by release, or after a release fence: at once if the load acquires, or
 * else at its next acquire fence. That is all that such a program can do: nothing is sequentially consistent
 * in it, and the one that loads stores nothing. The one that stores has therefore run to its end at first.
 *
 * Every name tested below with #ifdef, but for RECLAIM and PUBLICATIONS, is a planted mistake: see `run`. */

#ifndef PUBLICATIONS
#define PUBLICATIONS 5
#endif

#define STEPS (5 * PUBLICATIONS)

/* Locations of a slot. */
#ifdef RECLAIM
#define CURSOR 0
#define CLAIMS 1
#define ID 2
#define LENGTH 3
#define LOCATIONS 4
#else
#define WORD 0                /* its value: the sequence; the area is its lowest bit */
#define SUM(area) (1 + 3 * (area))
#define COVERED(area) (2 + 3 * (area))
#define PROBED(area) (3 + 3 * (area))
#define OUTPUTS 7             /* plain memory */
#define LOCATIONS 8
#endif

mtype = { relaxed, release, acquire };

/* What has been stored: step k, from 1 on, and how many steps who reads it may learn of. */
byte location[STEPS + 1];
byte value[STEPS + 1];
byte carries[STEPS + 1];
byte steps;
byte fenced;                  /* steps before the last release fence */

byte last[LOCATIONS];         /* the step whose store the reader has read there last */
byte known;                   /* steps that happened before what the reader does now */
byte pending;                 /* the same, once it has passed an acquire fence */

inline store(where, what, order) {
  steps++;
  location[steps] = where;
  value[steps] = what;
  carries[steps] = (order == release -> steps : fenced)
}

inline load(where, result, order) {
  d_step {
    step = 1;
    oldest = last[where];
    do
    :: step <= known ->
       oldest = (location[step] == where && step > oldest -> step : oldest);
       step++
    :: else -> break
    od;
    step = steps
  };
  do
  :: step == oldest || location[step] == where -> break
  :: step > oldest -> step--
  od;
  result = value[step];
  d_step {
    last[where] = step;
    pending = (carries[step] > pending -> carries[step] : pending);
    known = (order == acquire && carries[step] > known -> carries[step] : known);
    step = 0;
    oldest = 0
  }
}

#define RELEASE_FENCE fenced = steps
#define ACQUIRE_FENCE known = (pending > known -> pending : known)

#ifdef RECLAIM

#ifdef CURSOR_RELAXED
#define CURSOR_ORDER relaxed
#else
#define CURSOR_ORDER release
#endif
#ifdef CURSOR_READ_RELAXED
#define CURSOR_READ relaxed
#else
#define CURSOR_READ acquire
#endif
#ifdef MARK_RELAXED
#define MARK_ORDER relaxed
#else
#define MARK_ORDER release
#endif
#ifdef REENTRY_RELAXED
#define REENTRY_ORDER relaxed
#else
#define REENTRY_ORDER release
#endif
#ifdef MARK_READ_RELAXED
#define MARK_READ relaxed
#else
#define MARK_READ acquire
#endif

/* owner::claim(): ids 1, 2, … , one at a time, each into an entry that is ID here. */
inline run_owner() {
  do
  :: number < 2 ->
     number++;
     store(CLAIMS, 2 * number - 1, REENTRY_ORDER);
     store(CURSOR, number, CURSOR_ORDER);
     store(ID, number, relaxed);
     store(LENGTH, number, release);
     store(CLAIMS, 2 * number, MARK_ORDER)
  :: else -> break
  od
}

/* reclaim(): what another owner took below the cursor stands in its log, if it is outside its window, or
 * comes out of it. */
proctype reader() {
  byte step, oldest, cursor, seen, claims, length, id;

  load(CURSOR, cursor, CURSOR_READ);
  load(CLAIMS, claims, MARK_READ);
  seen = claims;
  if
  :: claims % 2 == 1 -> load(CLAIMS, claims, MARK_READ)
  :: else -> skip
  fi;
  if
  :: seen % 2 == 1 && claims == seen -> skip
  :: else ->
     load(LENGTH, length, acquire);
     load(ID, id, relaxed);
     assert(length >= cursor);
     assert(id >= cursor)
  fi
}

#else

#ifdef COMMIT_RELAXED
#define COMMIT_ORDER relaxed
#else
#define COMMIT_ORDER release
#endif
#ifdef WORD_READ_RELAXED
#define WORD_READ relaxed
#else
#define WORD_READ acquire
#endif

/* owner::publish(), again and again: publication k stores k everywhere. */
inline run_owner() {
  do
  :: number < PUBLICATIONS ->
     number++;
     store(OUTPUTS, number, relaxed);
#if !defined(NO_RELEASE_FENCE) && !defined(LATE_RELEASE_FENCE)
     RELEASE_FENCE;
#endif
     store(SUM(number & 1), number, relaxed);
     store(COVERED(number & 1), number, relaxed);
     store(PROBED(number & 1), number, relaxed);
#ifdef LATE_RELEASE_FENCE
     RELEASE_FENCE;
#endif
     store(WORD, number, COMMIT_ORDER)
  :: else -> break
  od
}

/* board::snapshot(): what is accepted is one publication, whose outputs happened before; a plain load of
 * them would not be a race. */
proctype reader() {
  byte step, oldest, word, again, sum, covered, probed;

  load(WORD, word, WORD_READ);
  load(COVERED(word & 1), covered, relaxed);
  load(PROBED(word & 1), probed, relaxed);
  load(SUM(word & 1), sum, relaxed);
#ifndef NO_ACQUIRE_FENCE
  ACQUIRE_FENCE;
#endif
#ifndef NO_SECOND_LOOK
  load(WORD, again, relaxed);
  if
  :: again != word -> skip
  :: else ->
#else
  if
  :: true ->
#endif
     assert(word == 0 || (sum == word && covered == word && probed == word));
     assert(word == 0 || known >= 5 * word - 4)
  fi
}

#endif

init {
  byte number;

  d_step { run_owner(); number = 0 };
  run reader()
}
