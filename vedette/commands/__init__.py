"""The commands of `vedette`, one file each: `add_parser(subparsers)` and `run(args)`."""
