"""The page: a local web page for people who would rather look than type; `deblur gui` starts it.

    __main__    starts the server and opens the browser
    server      what the page asks for: routes, uploads, events, downloads
    answers     how it answers
    safety      who may ask: host, origin, token, headers
    session     the photographs of a session, their files, and the queue of their jobs
    photo       one photograph: its state, and the words of the command that restores it
    preview     a process that keeps one photograph open and restores regions of it
    static/     the page itself

A whole picture is restored by the command itself (`deblur.worker`), so a download has the command's bytes. Nothing here
imports torch: a server that waits takes little memory and no time.
"""
