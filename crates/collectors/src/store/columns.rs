//! A row of a table as a struct, with everything that goes through its columns in their order.

/// Declares the row; one row a module. PostgreSQL gets many of them as one array a column, where a type is given for it,
/// or as a copy.
macro_rules! columns {
    (
        $(#[$doc:meta])*
        $row:ident $(<$life:lifetime>)? { $($column:ident: $type:ty => $array:literal),+ $(,)? }
    ) => {
        $crate::store::columns::columns!(@row $(#[$doc])* $row $(<$life>)? { $($column: $type),+ });

        /// Every column with the PostgreSQL type of an array of its values.
        pub(crate) const COLUMNS: &[(&str, &str)] = &[$((stringify!($column), $array)),+];

        /// Binds one array a column.
        pub(crate) fn bind_arrays<'q $(, $life)?>(
            query: sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>,
            rows: &[$row $(<$life>)?],
        ) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
            query$(.bind(rows.iter().map(|row| row.$column).collect::<Vec<_>>()))+
        }
    };
    (
        $(#[$doc:meta])*
        $row:ident $(<$life:lifetime>)? { $($column:ident: $type:ty),+ $(,)? }
    ) => {
        $crate::store::columns::columns!(@row $(#[$doc])* $row $(<$life>)? { $($column: $type),+ });

        pub(crate) const COLUMNS: &[&str] = &[$(stringify!($column)),+];

        impl $(<$life>)? $crate::store::postgres::Copied for $row $(<$life>)? {
            fn copy_into(&self, tuple: &mut $crate::store::postgres::Tuple<'_>) -> Result<(), sqlx::Error> {
                $(tuple.push(self.$column)?;)+
                Ok(())
            }
        }
    };
    (@row $(#[$doc:meta])* $row:ident $(<$life:lifetime>)? { $($column:ident: $type:ty),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub(crate) struct $row $(<$life>)? { $(pub(crate) $column: $type),+ }

        /// Binds one value a column.
        pub(crate) fn bind_values $(<$life>)? (
            tuple: &mut sqlx::query_builder::Separated<'_, sqlx::Sqlite, &'static str>,
            row: &$row $(<$life>)?,
        ) {
            $(tuple.push_bind(row.$column);)+
        }
    };
}
pub(super) use columns;
