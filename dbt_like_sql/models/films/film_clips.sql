select * from {{ shots(ref('film_boundaries'), source('films', 'frames'), source('films', 'samples')) }}
