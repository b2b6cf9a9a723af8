#!/usr/bin/env bash
# Copies a dataset's frames to a node's own disk; `run_model.py --temp_data_dir TARGET` reads them.
#
#     bash slurm/copy_frame_tars.sh -s SOURCE -t TARGET -d DATASET [-e left|right|both] [-b]
#
#   -s  the folder with {dataset}/frames and {dataset}/frames_tar, which are copied below -t
#   -d  UCF101, HMDB51, Kinetics400 (k400) or MouseSim, in any case, or another folder in SOURCE
#   -e  which eye of MouseSim (default: right)
#   -b  Kinetics400's 256-pixel frames, which --img_dim above 140 needs
#
# Packed classes are copied as tars, the others as single frames. The script can be stopped at any
# moment and run again: a file gets its name when it is complete, and is then not copied again.

set -euo pipefail
export LC_ALL=C

: "${COPY_JOBS:=8}" # the number of copies that run at once

die() { # STATUS MESSAGE
    echo "copy_frame_tars.sh: $2" >&2
    exit "$1"
}
[[ $COPY_JOBS =~ ^[1-9][0-9]{0,3}$ ]] || die 2 "COPY_JOBS is '$COPY_JOBS': must be 1 to 9999"
usage="usage: copy_frame_tars.sh -s SOURCE -t TARGET -d DATASET [-e left|right|both] [-b]"

source='' target='' dataset='' eye=right big=''
while getopts :s:t:d:e:bh option; do
    case $option in
    s) source=$OPTARG ;;
    t) target=$OPTARG ;;
    d) dataset=$OPTARG ;;
    e) eye=$OPTARG ;;
    b) big=yes ;;
    h) echo "$usage" && exit ;;
    :) die 2 "-$OPTARG: needs a value; $usage" ;;
    *) die 2 "-$OPTARG: unknown; $usage" ;;
    esac
done
shift $((OPTIND - 1))
[[ $# == 0 ]] || die 2 "$1: unknown; $usage"
[[ -n $source && -n $target && -n $dataset ]] || die 2 "$usage"

suffix=''
case ${dataset,,} in
ucf101) dataset=UCF101 ;;
hmdb51) dataset=HMDB51 ;;
kinetics400 | k400) dataset=Kinetics400 suffix=${big:+_256} ;;
mousesim)
    dataset=MouseSim
    case $eye in
    left | right) suffix=_$eye ;;
    both) ;;
    *) die 2 "-e $eye: take left, right or both" ;;
    esac
    ;;
*) # a data set of the user's own
    [[ $dataset != .* && $dataset != */* && -d $source/$dataset ]] ||
        die 2 "-d $dataset: unknown; take UCF101, HMDB51, Kinetics400, MouseSim or a folder in $source"
    ;;
esac
[[ -z $big || $dataset == Kinetics400 ]] || die 2 "-b: is for Kinetics400, not $dataset"

frames=frames$suffix
from=$source/$dataset
to=$target/$dataset
[[ -d $from/$frames || -d $from/${frames}_tar ]] ||
    die 2 "$from: has neither $frames nor ${frames}_tar; -s is the folder that holds $dataset"
mkdir -p "$to" || die 2 "-t $target: can't be written"
to=$(cd "$to" && pwd)
exec 9>"$to/.copy_lock" # of two jobs on a node the second waits, and finds all files copied
flock 9

# Prints a row `size path` for each file, ended by a zero byte. Paths are relative to the dataset.
list() { # FOLDER...
    [[ $# == 0 ]] || find -L "$@" -type f ! -path '*/.*' -printf '%s %p\0'
}

# Lists the source's tars, and the single frames of classes without a tar, as the training reads them.
list_source() {
    local folder class unpacked=()
    for folder in "$frames"/*/; do
        class=$(basename "$folder")
        [[ ! -d $folder || -f ${frames}_tar/$class.tar ]] || unpacked+=("$frames/$class")
    done
    [[ ! -d ${frames}_tar ]] || list "${frames}_tar"
    list "${unpacked[@]}"
}

list_target() {
    local there=()
    for folder in "$frames" "${frames}_tar"; do
        [[ ! -d $folder ]] || there+=("$folder")
    done
    list "${there[@]}"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$to"/.part.* # left by a copy that was stopped
(cd "$from" && list_source) | sort -z >"$work/source"
(cd "$to" && list_target) | sort -z >"$work/target"
comm -z -23 "$work/source" "$work/target" >"$work/missing"

count() { tr -dc '\0' <"$1" | wc -c; }
all=$(count "$work/source")
missing=$(count "$work/missing")
((all > 0)) || die 2 "$from/$frames: holds no frames"

# A file takes whole blocks of 4 kB on the disk.
needed=$(tr '\0' '\n' <"$work/missing" | awk '{n += int(($1 + 4095) / 4096) * 4} END {printf "%.0f", n}')
free=$(df -Pk "$to" | awk 'NR == 2 {print $4}')
((needed <= free)) ||
    die 1 "$target: has $((free / 1024)) MB free, $dataset needs $((needed / 1024)) MB more"

cut -z -d ' ' -f 2- "$work/missing" | sort -z >"$work/paths"
sed -z 's|/[^/]*$||' "$work/paths" | uniq -z | (cd "$to" && xargs -0 -r mkdir -p)
batch=$((missing / (COPY_JOBS * 4) + 1)) # files: a few batches for each copy
((batch < 500)) || batch=500
# The files of a batch that are in one folder are copied to a temporary folder and then moved.
# shellcheck disable=SC2016  # the shells that xargs starts expand this
xargs -0 -r -n "$batch" -P "$COPY_JOBS" bash -c '
    set -e
    from=$0 to=$1
    shift
    aside=$(mktemp -d "$to/.part.XXXXXX")
    trap "rm -rf \"\$aside\"" EXIT
    while (($#)); do
        folder=${1%/*} files=()
        while [[ $# != 0 && ${1%/*} == "$folder" ]]; do
            files+=("${1##*/}")
            shift
        done
        (cd "$from/$folder" && cp -t "$aside" -- "${files[@]}")
        (cd "$aside" && mv -f -t "$to/$folder" -- "${files[@]}")
    done' "$from" "$to" <"$work/paths" ||
    die 1 "$target: not everything could be copied; run it again"
echo "copy_frame_tars.sh: $to/$frames: $missing files copied, $((all - missing)) were there"
